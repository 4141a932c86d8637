"""What cannot be delivered: the right error comes back, or nothing (RFC 6120 §8.3, §10.4)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from bench.authority import Authority
from bench.peers.causeway import Causeway
from bench.peers.daemon import free_port
from bench.peers.nameserver import Nameserver
from tests.support.component import Component, Got, attached
from tests.support.nodes import (
    CAPULET,
    MONTAGUE,
    SECRET,
    TYBALT,
    VERONA,
    at_rest,
    certificate,
    node,
)
from tests.support.scripted_peer import EXTERNAL_FEATURE, HOST, Peer, header, message, scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROMEO, JULIET, BENVOLIO = f"romeo@{MONTAGUE}", f"juliet@{CAPULET}", f"benvolio@{VERONA}"
NAMELESS, REFUSED, REFUSING = "nameless.example", "refused.example", "refusing.example"
STREAM_ERROR = "<stream:error><{} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def capulet(issuer: Authority) -> AsyncIterator[Peer]:
    async with scripted(CAPULET, MONTAGUE, certificate(issuer, CAPULET)) as peer:
        yield peer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing(issuer: Authority) -> AsyncIterator[Peer]:
    async with scripted(REFUSING, MONTAGUE, certificate(issuer, CAPULET)) as peer:
        yield peer


@pytest.fixture(scope="module")
def dns(capulet: Peer) -> Iterator[Nameserver]:
    """CAPULET is where its second SRV record says, TYBALT has none that works, others no name."""
    zone = {
        f"_xmpp-server._tcp.{CAPULET}": {
            "SRV": [f"5 0 {free_port()} xmpp.test.", f"10 0 {capulet.port} xmpp.test."]
        },
        f"_xmpp-server._tcp.{TYBALT}": {"SRV": [f"5 0 {free_port()} xmpp.test."]},
        "xmpp.test": {"A": [HOST]},
        TYBALT: {"A": [HOST]},
    }
    with Nameserver(zone) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router(
    tmp_path_factory: pytest.TempPathFactory, issuer: Authority, dns: Nameserver, refusing: Peer
) -> AsyncIterator[Causeway]:
    async with node(
        tmp_path_factory.mktemp("node"),
        issuer,
        routes={REFUSED: (HOST, free_port()), REFUSING: (HOST, refusing.port)},
        settings={"dns": {"resolvers": [dns.address]}},
    ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def romeo(router: Causeway) -> AsyncIterator[Component]:
    async with attached(MONTAGUE, SECRET, router.component_port) as component:
        yield component


def iq(sender: str, target: str, number: str, kind: str = "get") -> str:
    return f"<iq from='{sender}' to='{target}' id='{number}' type='{kind}'><q xmlns='urn:q'/></iq>"


class Refusal(NamedTuple):
    """An error that came back."""

    condition: str
    type: str
    got: Got


async def refusal(component: Component, text: str, number: str) -> Refusal:
    """Send stanzas, and wait for the error that answers the one with this id."""
    got = await component.ask(text, lambda got: got.attributes.get("id") == number)
    assert got.kind == "error"
    error_type = component.raw.rpartition(b"<error ")[2].split(b"'")[1].decode()
    condition = next(name for name in got.inside if name not in ("error", "q", "body"))
    return Refusal(condition, error_type, got)


async def outcome(router: Causeway, name: str) -> float:
    await at_rest(router)
    return (await router.metrics())["causeway_stanza_outcomes_total", (name,)]


@pytest.mark.clause("RTE-07", "RTE-10")
async def test_a_domain_without_a_name_is_not_found(romeo: Component) -> None:
    target = f"a@{NAMELESS}"
    for text, kind in ((iq(ROMEO, target, "1"), "iq"), (message(ROMEO, target, "1"), "message")):
        condition, error_type, got = await refusal(romeo, text, "1")
        assert (condition, error_type) == ("remote-server-not-found", "cancel")
        assert (got.name, got.attributes["from"], got.attributes["to"]) == (kind, target, ROMEO)


@pytest.mark.clause("RTE-10")
async def test_a_port_that_refuses_is_a_timeout(romeo: Component) -> None:
    condition, error_type, _ = await refusal(romeo, iq(ROMEO, f"a@{REFUSED}", "1"), "1")
    assert (condition, error_type) == ("remote-server-timeout", "wait")


@pytest.mark.clause("RTE-08")
async def test_errors_and_results_are_never_answered(router: Causeway, romeo: Component) -> None:
    target = f"a@{REFUSED}"
    unanswerable = [
        f"<message from='{ROMEO}' to='{target}' type='error' id='m'/>",
        f"<presence from='{ROMEO}' to='{target}' type='error' id='p'/>",
        iq(ROMEO, target, "r", "result"),
        iq(ROMEO, target, "e", "error"),
    ]
    before = [await outcome(router, name) for name in ("unbounceable", "bounced")]
    await refusal(romeo, "".join(unanswerable) + iq(ROMEO, target, "last"), "last")
    after = [await outcome(router, name) for name in ("unbounceable", "bounced")]
    assert [got.attributes["id"] for got in romeo.others] == ["last"]
    assert [now - then for now, then in zip(after, before, strict=True)] == [4, 1]


@pytest.mark.clause("ERR-03", "RTE-10")
@pytest.mark.parametrize(
    ("says", "condition", "error_type"),
    [
        ("host-unknown", "remote-server-not-found", "cancel"),
        ("policy-violation", "remote-server-timeout", "cancel"),
        ("internal-server-error", "remote-server-timeout", "wait"),
    ],
)
async def test_a_peer_that_refuses_the_stream(
    romeo: Component, refusing: Peer, says: str, condition: str, error_type: str
) -> None:
    refused = asyncio.create_task(refusal(romeo, iq(ROMEO, f"a@{REFUSING}", "1"), "1"))
    wire = await refusing.accepted()
    await wire.until("<stream:stream")
    await wire.send(header(REFUSING, MONTAGUE, id="i") + STREAM_ERROR.format(says))
    await wire.closed_in_order()
    assert (await refused)[:2] == (condition, error_type)


@pytest.mark.clause("RTE-11")
async def test_a_hosted_domain_that_is_away(router: Causeway, capulet: Peer) -> None:
    juliet = await capulet.authenticated(router.s2s_port)
    await juliet.send(iq(JULIET, ROMEO, "1"))
    answer = await juliet.until("</iq>")
    assert f'<iq from="{ROMEO}" to="{JULIET}"' in answer
    assert 'type="error"' in answer
    assert "<error type='wait'><remote-server-timeout " in answer
    async with attached(MONTAGUE, SECRET, router.component_port) as romeo:
        await juliet.send(message(JULIET, ROMEO, "n0"))
        await romeo.until(lambda: romeo.arrived == 1)
    await juliet.send(iq(JULIET, ROMEO, "2"))
    assert "<remote-server-timeout " in await juliet.until("</iq>")
    await juliet.closed_in_order()


@pytest.mark.clause("CMP-05", "RTE-11")
async def test_hosted_domains_meet_inside(router: Causeway, romeo: Component) -> None:
    dialled = ("causeway_tcp_connections_total", ("out",))
    await at_rest(router)
    before = (await router.metrics())[dialled]
    condition, error_type, _ = await refusal(romeo, iq(ROMEO, BENVOLIO, "1"), "1")
    assert (condition, error_type) == ("remote-server-timeout", "wait")
    async with attached(VERONA, SECRET, router.component_port) as benvolio:
        for number in range(100):
            romeo.write(message(ROMEO, BENVOLIO, f"n{number}"))
            benvolio.write(message(BENVOLIO, ROMEO, f"n{number}"))
        for end in (romeo, benvolio):
            await end.until(lambda: end.arrived == 100)  # noqa: B023
            assert end.numbers == list(range(100))
        assert [row["leg"] for row in await router.streams()] == ["component"] * 2
    await at_rest(router)
    assert (await router.metrics())[dialled] == before


@pytest.mark.clause("DNS-01", "DNS-04")
async def test_a_domain_is_found_by_its_srv_records(
    romeo: Component, capulet: Peer, dns: Nameserver
) -> None:
    """In their order, and without asking for an address when there are any."""
    romeo.write(message(ROMEO, JULIET, "found"))
    wire = await capulet.greet(EXTERNAL_FEATURE)
    await capulet.admit(wire)
    await wire.until("id='found'")
    await wire.closed_in_order()
    condition, error_type, _ = await refusal(romeo, iq(ROMEO, f"a@{TYBALT}", "1"), "1")
    assert (condition, error_type) == ("remote-server-timeout", "wait")
    assert (TYBALT, "A") not in dns.asked
