"""The router's own JID over real sockets: servers and components ask, and the books balance."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bench.authority import Authority
from bench.peers.causeway import Causeway
from tests.support.component import Component, Got, attached
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, at_rest, certificate, node
from tests.support.scripted_peer import EXTERNAL_FEATURE, HOST, Peer, scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")

RELAY = "relay.montague.example"
JULIET, ROMEO = f"juliet@{CAPULET}", f"romeo@{MONTAGUE}"
PING = "<ping xmlns='urn:xmpp:ping'/>"
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
ITEMS = "<query xmlns='http://jabber.org/protocol/disco#items' node='n'/>"


def iq(sender: str, number: str, payload: str, kind: str = "get") -> str:
    return f"<iq from='{sender}' to='{RELAY}' id='{number}' type='{kind}'>{payload}</iq>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def capulet(issuer: Authority) -> AsyncIterator[Peer]:
    async with scripted(CAPULET, RELAY, certificate(issuer, CAPULET)) as peer:
        yield peer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router(
    tmp_path_factory: pytest.TempPathFactory, issuer: Authority, capulet: Peer
) -> AsyncIterator[Causeway]:
    issuer.issue(RELAY)
    async with node(
        tmp_path_factory.mktemp("node"),
        issuer,
        routes={CAPULET: (HOST, capulet.port)},
        settings={"e2e": {"jid": RELAY}},
    ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def romeo(router: Causeway) -> AsyncIterator[Component]:
    async with attached(MONTAGUE, SECRET, router.component_port) as component:
        yield component


async def outcomes(router: Causeway) -> dict[str, float]:
    await at_rest(router)
    metrics = await router.metrics()
    names = ("handed", "bounced", "filtered", "unbounceable", "answered")
    return {name: metrics["causeway_stanza_outcomes_total", (name,)] for name in names}


@pytest.mark.clause("KAL-01", "DSC-01", "DSC-03", "BIDI-21")
async def test_a_remote_server_asks_the_router(router: Causeway, capulet: Peer) -> None:
    """Over a stream to the router's own domain; answers come back on it, where bidi lets them."""
    before = await outcomes(router)
    juliet = await capulet.authenticated(router.s2s_port)
    await juliet.send(iq(JULIET, "1", PING) + iq(JULIET, "2", INFO) + iq(JULIET, "3", ITEMS))
    answer = await juliet.until(' id="1" type="result"></iq>')
    assert f'<iq from="{RELAY}" to="{JULIET}"' in answer
    answer = await juliet.until("</iq>")
    assert "<identity category='component' type='router'" in answer
    assert "<feature var='urn:xmpp:ping'/>" in answer
    assert 'disco#items\' node="n"></query>' in await juliet.until("</iq>")
    await juliet.closed_in_order()
    assert capulet.unaccepted() == 0
    assert await outcomes(router) == {**before, "answered": before["answered"] + 3}


@pytest.mark.clause("KAL-01")
async def test_without_bidi_the_router_dials_to_answer(router: Causeway, capulet: Peer) -> None:
    """As the domain that was asked, with its certificate."""
    juliet = await capulet.authenticated(router.s2s_port, bidi=False)
    await juliet.send(iq(JULIET, "1", PING))
    wire = await capulet.greet(EXTERNAL_FEATURE)
    await capulet.admit(wire)
    assert f'<iq from="{RELAY}" to="{JULIET}"' in await wire.until("</iq>")
    assert f'from="{RELAY}"' in wire.received.replace("'", '"')
    await wire.closed_in_order()
    assert "<iq" not in await juliet.closed_in_order()


@pytest.mark.clause("RTE-08", "RTE-12", "KAL-01")
async def test_a_component_asks_the_router(router: Causeway, romeo: Component) -> None:
    def answers(number: str) -> Got:
        return next(got for got in romeo.others if got.attributes["id"] == number)

    before = await outcomes(router)
    silent = (
        f"<presence from='{ROMEO}' to='{RELAY}' id='s' type='subscribe'/>"
        + iq(ROMEO, "r", "", "result")
        + f"<message from='{ROMEO}' to='{RELAY}' id='e' type='error'/>"
    )
    asked = (
        f"<message from='{ROMEO}' to='a@{RELAY}' id='m'/>"
        + iq(ROMEO, "u", "<x xmlns='urn:x'/>", "set")
        + iq(ROMEO, "ping", PING)
    )
    await romeo.send(silent + asked)
    await romeo.until(lambda: romeo.record.pings_answered == 1)
    assert [got.attributes["id"] for got in romeo.others] == ["m", "u"]
    for number, name in (("m", "message"), ("u", "iq")):
        assert (answers(number).name, answers(number).inside[1]) == (name, "service-unavailable")
    after = await outcomes(router)
    assert after["answered"] - before["answered"] == 4
    assert after["bounced"] - before["bounced"] == 2
    assert after["handed"] == before["handed"]


@pytest.mark.clause("CMP-02")
async def test_nobody_attaches_as_the_router(router: Causeway) -> None:
    with pytest.raises(ConnectionRefusedError, match="host-unknown"):
        await Component(RELAY).attach(router.component_port, SECRET)


async def test_nobody_outside_speaks_as_the_router(router: Causeway, issuer: Authority) -> None:
    async with scripted(RELAY, MONTAGUE, certificate(issuer, RELAY)) as impostor:
        wire = await impostor.dial(router.s2s_port)
        await wire.send(impostor.header())
        assert "<improper-addressing " in await wire.ended()
