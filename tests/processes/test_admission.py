"""Whom we let in, whom we call, and how much they may say (XEP-0205, XEP-0478)."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from bench.authority import Authority
from bench.peers.nameserver import Nameserver
from tests.conftest import StartNode
from tests.support.component import Component, Got, attached
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, TYBALT, at_rest, certificate
from tests.support.scripted_peer import (
    BIDI_FEATURE,
    EXTERNAL_FEATURE,
    HOST,
    PROCEED,
    STARTTLS,
    Peer,
    auth,
    header,
    message,
    scripted,
)

pytestmark = pytest.mark.thorough

ROMEO, JULIET = f"romeo@{MONTAGUE}", f"juliet@{CAPULET}"
ADDRESS, LISTED = "169.254.169.254", "127.0.0.3"
VIOLATION = "<stream:error><policy-violation "


@pytest.fixture
async def tybalt(issuer: Authority) -> AsyncIterator[Peer]:
    """A server whose domain may prove others by dialback."""
    async with scripted(TYBALT, MONTAGUE, certificate(issuer, TYBALT)) as peer:
        yield peer


async def refusal(romeo: Component, target: str) -> tuple[str, ...]:
    def answers(got: Got) -> bool:
        return got.attributes["from"] == target

    return (await romeo.ask(message(ROMEO, target, "m"), answers)).inside


async def key_refused(peer: Peer, port: int, sender: str) -> str:
    """The dialback error that a key for this domain gets."""
    wire = await peer.secured(port)
    await wire.send(f"<db:result from='{sender}' to='{MONTAGUE}'>key</db:result>")
    answer = (await wire.until("</db:result>")).replace('"', "'")
    await wire.closed_in_order()
    found = re.search(r"<error type='\w+'><([\w-]+)", answer)
    assert found is not None, answer
    return found[1]


@pytest.mark.clause("DBK-07", "RTE-10")
async def test_an_address_is_no_domain_unless_listed(start_node: StartNode, tybalt: Peer) -> None:
    with Nameserver({}) as dns:
        node = await start_node(
            routes={LISTED: (HOST, tybalt.port)}, settings={"dns": {"resolvers": [dns.address]}}
        )
        for sender in (ADDRESS, "[::1]"):
            wire = await tybalt.dial(node.s2s_port)
            await wire.send(header(sender, MONTAGUE))
            assert VIOLATION in await wire.ended()
            assert await key_refused(tybalt, node.s2s_port, sender) == "policy-violation"
        async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
            for target in (ADDRESS, "[::1]"):
                assert "remote-server-not-found" in await refusal(romeo, f"a@{target}")
            romeo.write(message(ROMEO, f"a@{LISTED}", "n0"))
            wire = await tybalt.accepted()
            await wire.until(f'to="{LISTED}"')
            await wire.close()
            await romeo.until(lambda: len(romeo.others) == 3)
        assert dns.asked == []


@pytest.mark.clause("DBK-07", "RTE-10")
@pytest.mark.parametrize("mode", ["deny list", "allow list"])
async def test_lists_hold_in_both_directions(
    start_node: StartNode, capulet: Peer, tybalt: Peer, mode: str
) -> None:
    """TYBALT is denied, CAPULET is not; nobody asks DNS about who is denied."""
    lists = {
        "deny list": {"*.example": {"deny": True}, CAPULET: {"deny": False}},
        "allow list": {"*": {"deny": True}, CAPULET: {"deny": False}},
    }
    with Nameserver({}) as dns:
        node = await start_node(
            routes={CAPULET: (HOST, capulet.port)},
            settings={"dns": {"resolvers": [dns.address]}, "peers": lists[mode]},
        )
        wire = await tybalt.dial(node.s2s_port)
        await wire.send(tybalt.header())
        assert VIOLATION in await wire.ended()
        assert await key_refused(capulet, node.s2s_port, TYBALT) == "policy-violation"
        async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
            inside = await refusal(romeo, f"a@{TYBALT}")
            assert "remote-server-timeout" in inside
            assert tybalt.unaccepted() == 0
            assert dns.asked == []
            juliet = await capulet.authenticated(node.s2s_port)
            romeo.write(message(ROMEO, JULIET, "n0"))
            await juliet.until("id='n0'")
            await juliet.send(message(JULIET, ROMEO, "n1"))
            await romeo.until(lambda: romeo.arrived == 1)
            await juliet.closed_in_order()


@pytest.mark.clause("LIM-02", "LIM-03")
async def test_the_limit_of_a_peer_that_came_to_us(start_node: StartNode, capulet: Peer) -> None:
    node = await start_node()
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        juliet = await capulet.secured(node.s2s_port)
        limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits>"
        await juliet.send(f"<bidi xmlns='urn:xmpp:bidi'>{limits}</bidi>" + auth(CAPULET))
        await juliet.until("<success ")
        await juliet.send(capulet.header())
        await juliet.until("</stream:features>")
        bodies = {n: "x" * (10_000 if n % 5 == 3 else 1000) for n in range(100)}
        for number, body in bodies.items():
            romeo.write(message(ROMEO, JULIET, f"n{number}").replace("hear me", body))
        await juliet.until("id='n99'")
        await romeo.until(lambda: len(romeo.others) == 20)
        assert all(
            (got.kind, got.inside[1]) == ("error", "policy-violation") for got in romeo.others
        )
        assert b"type='modify'" in romeo.raw
        assert b" by=" not in romeo.raw
        came = [int(n) for n in re.findall(r"id='n(\d+)'", juliet.received)]
        assert came == [n for n in bodies if n % 5 != 3]
        await juliet.closed_in_order()
        await at_rest(node)


@pytest.mark.clause("LIM-01", "LIM-03")
async def test_the_limit_of_a_server_that_we_call(
    start_node: StartNode, capulet: Peer, route_to_capulet: dict[str, tuple[str, int]]
) -> None:
    node = await start_node(routes=route_to_capulet)
    early, late = (
        f"<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>{size}</max-bytes></limits>"
        for size in (1, 10_000)
    )
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        for number, size in enumerate((9000, 20_000, 9000)):
            stanza = message(ROMEO, JULIET, f"n{number}")
            romeo.write(stanza.replace("hear me", "x" * size))
        wire = await capulet.greet(EXTERNAL_FEATURE, BIDI_FEATURE, early)
        asked = await wire.until("</auth>")
        assert "<max-bytes>262144</max-bytes></limits></bidi>" in asked
        await wire.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
        await wire.until("<stream:stream")
        await wire.until(">")
        await wire.send(
            header(CAPULET, MONTAGUE, id="open") + f"<stream:features>{late}</stream:features>"
        )
        await wire.until("id='n2'")
        await romeo.until(lambda: len(romeo.others) == 1)
        assert romeo.others[0].attributes["id"] == "n1"
        assert "policy-violation" in romeo.others[0].inside
        await wire.closed_in_order()


@pytest.mark.clause("ERR-07")
async def test_traffic_wins_no_time_before_authentication(
    start_node: StartNode, capulet: Peer
) -> None:
    """Reliability B4: drop by drop in every phase, and closed at the deadline all the same."""
    node = await start_node(limits={"handshake_timeout_s": 1.5})
    opening = capulet.header()
    half = await capulet.dial(node.s2s_port)
    await half.send(opening[:-20])
    headed = await capulet.dial(node.s2s_port)
    await headed.send(opening)
    proceeding = await capulet.dial(node.s2s_port)
    await proceeding.send(opening)
    await proceeding.until("</stream:features>")
    await proceeding.send(STARTTLS)
    await proceeding.until(PROCEED)
    handshaking = await capulet.dial(node.direct_tls_port)
    secured, challenged, keyed = [await capulet.secured(node.s2s_port) for _ in range(3)]
    await challenged.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'/>")
    await keyed.send(f"<db:result from='unknown.example' to='{MONTAGUE}'>key</db:result>")
    component = await capulet.dial(node.component_port)
    drops = {
        half: b"x",
        headed: b" ",
        secured: b" ",
        challenged: b" ",
        keyed: b" ",
        component: b"<",
    }
    drops |= {proceeding: b"\x16", handshaking: b"\x16"}
    begun = asyncio.get_running_loop().time()

    async def drip(wire: object, octets: bytes) -> float:
        ending = asyncio.create_task(wire.ended())  # type: ignore[attr-defined]
        while not ending.done():
            await wire.send(octets)  # type: ignore[attr-defined]
            await asyncio.wait({ending}, timeout=0.1)
        return asyncio.get_running_loop().time() - begun

    lasted = await asyncio.gather(*(drip(wire, octets) for wire, octets in drops.items()))
    assert max(lasted) < 3.0
    for wire in (half, headed, secured, challenged, keyed):
        assert VIOLATION in wire.received


async def test_a_peer_over_its_rate_is_read_later(start_node: StartNode, capulet: Peer) -> None:
    node = await start_node(settings={"peers": {CAPULET: {"stanzas_per_s": 100}}})
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        juliet = await capulet.authenticated(node.s2s_port)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number in range(300):
            await juliet.send(message(JULIET, ROMEO, f"n{number}"))
            await asyncio.sleep(0)
        await romeo.until(lambda: romeo.arrived > 0)
        await juliet.send(message(JULIET, ROMEO, "n300"))
        await romeo.until(lambda: romeo.arrived == 301)
        assert romeo.numbers == [*range(301)]
        await juliet.send(message(JULIET, ROMEO, "n301"))
        await romeo.until(lambda: romeo.arrived == 302)
        assert loop.time() - begun > 0.8, "200 at once, 100 more are a second"
        await juliet.closed_in_order()
