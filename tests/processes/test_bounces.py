"""What cannot be delivered: the right error comes back, or nothing (RFC 6120 §8.3, §10.4)."""

import pytest

from bench.peers.daemon import free_port
from tests.conftest import StartNode
from tests.support.component import Component, Got, attached
from tests.support.nameserver import Nameserver
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, TYBALT, VERONA, at_rest
from tests.support.scripted_peer import EXTERNAL_FEATURE, HOST, Peer, header, message

ROMEO, JULIET, BENVOLIO = f"romeo@{MONTAGUE}", f"juliet@{CAPULET}", f"benvolio@{VERONA}"
Routes = dict[str, tuple[str, int]]


def iq(sender: str, target: str, number: str, kind: str = "get") -> str:
    return f"<iq from='{sender}' to='{target}' id='{number}' type='{kind}'><q xmlns='urn:q'/></iq>"


async def refusal(component: Component, text: str, number: str) -> tuple[str, str, Got]:
    """Send a stanza; the condition and type of the error that comes back, and the error itself."""
    got = await component.ask(text, lambda got: got.attributes.get("id") == number)
    assert got.kind == "error"
    at = component.raw.rindex(b"<error ")
    kind = component.raw[at:].split(b"'")[1].decode()
    return next(name for name in got.inside if name not in ("error", "q", "body")), kind, got


@pytest.mark.clause("RTE-07", "RTE-10")
async def test_a_domain_without_a_name_is_not_found(start_node: StartNode) -> None:
    with Nameserver({}) as dns:
        node = await start_node(settings={"dns": {"resolvers": [dns.address]}})
        async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
            condition, kind, got = await refusal(romeo, iq(ROMEO, JULIET, "1"), "1")
            assert (condition, kind) == ("remote-server-not-found", "cancel")
            assert (got.name, got.attributes["from"], got.attributes["to"]) == ("iq", JULIET, ROMEO)
            condition, kind, got = await refusal(romeo, message(ROMEO, JULIET, "2"), "2")
            assert (condition, got.name) == ("remote-server-not-found", "message")


@pytest.mark.clause("RTE-10")
async def test_a_port_that_refuses_is_a_timeout(start_node: StartNode) -> None:
    node = await start_node(routes={CAPULET: (HOST, free_port())})
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        condition, kind, _ = await refusal(romeo, iq(ROMEO, JULIET, "1"), "1")
        assert (condition, kind) == ("remote-server-timeout", "wait")


@pytest.mark.clause("RTE-08")
async def test_errors_and_results_are_never_answered(start_node: StartNode) -> None:
    node = await start_node(routes={CAPULET: (HOST, free_port())})
    unanswerable = [
        f"<message from='{ROMEO}' to='{JULIET}' type='error' id='m'/>",
        f"<presence from='{ROMEO}' to='{JULIET}' type='error' id='p'/>",
        iq(ROMEO, JULIET, "r", "result"),
        iq(ROMEO, JULIET, "e", "error"),
    ]
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        await refusal(romeo, "".join(unanswerable) + iq(ROMEO, JULIET, "last"), "last")
        assert [got.attributes["id"] for got in romeo.others] == ["last"]
        await at_rest(node)
        metrics = await node.metrics()
        assert metrics["causeway_stanza_outcomes_total", ("unbounceable",)] == 4
        assert metrics["causeway_stanza_outcomes_total", ("bounced",)] == 1


@pytest.mark.clause("ERR-03", "RTE-10")
@pytest.mark.parametrize(
    ("says", "condition", "kind"),
    [
        ("host-unknown", "remote-server-not-found", "cancel"),
        ("policy-violation", "remote-server-timeout", "cancel"),
        ("internal-server-error", "remote-server-timeout", "wait"),
    ],
)
async def test_a_peer_that_refuses_the_stream(
    start_node: StartNode,
    capulet: Peer,
    route_to_capulet: Routes,
    says: str,
    condition: str,
    kind: str,
) -> None:
    node = await start_node(routes=route_to_capulet, acceptors=1, workers=1)
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        romeo.write(iq(ROMEO, JULIET, "1"))
        wire = await capulet.accepted()
        await wire.until("<stream:stream")
        await wire.send(
            header(CAPULET, MONTAGUE, id="i")
            + f"<stream:error><{says} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
            + "</stream:stream>"
        )
        await wire.until("</stream:stream>")
        assert await refusal(romeo, "", "1") == (condition, kind, romeo.others[0])


@pytest.mark.clause("RTE-11")
async def test_a_hosted_domain_that_is_away(start_node: StartNode, capulet: Peer) -> None:
    node = await start_node()
    juliet = await capulet.authenticated(node.s2s_port)
    await juliet.send(iq(JULIET, ROMEO, "1"))
    answer = await juliet.until("</iq>")
    assert f'<iq from="{ROMEO}" to="{JULIET}"' in answer
    assert 'type="error"' in answer
    assert "<error type='wait'><remote-server-timeout " in answer
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        await juliet.send(message(JULIET, ROMEO, "n0"))
        await romeo.until(lambda: romeo.arrived == 1)
    await juliet.send(iq(JULIET, ROMEO, "2"))
    assert "<remote-server-timeout " in await juliet.until("</iq>")


@pytest.mark.clause("CMP-05", "RTE-11")
async def test_hosted_domains_meet_inside(start_node: StartNode) -> None:
    node = await start_node()
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        condition, kind, _ = await refusal(romeo, iq(ROMEO, BENVOLIO, "1"), "1")
        assert (condition, kind) == ("remote-server-timeout", "wait")
        async with attached(VERONA, SECRET, node.component_port) as benvolio:
            for number in range(100):
                romeo.write(message(ROMEO, BENVOLIO, f"n{number}"))
                benvolio.write(message(BENVOLIO, ROMEO, f"n{number}"))
            await benvolio.until(lambda: benvolio.arrived == 100)
            await romeo.until(lambda: romeo.arrived == 100)
            assert [row["leg"] for row in await node.streams()] == ["component"] * 2
            await at_rest(node)
            metrics = await node.metrics()
            assert metrics["causeway_tcp_connections_total", ("in",)] == 2
            assert metrics["causeway_tcp_connections_total", ("out",)] == 0


@pytest.mark.clause("DNS-01", "DNS-04")
async def test_a_domain_is_found_by_its_srv_record(start_node: StartNode, capulet: Peer) -> None:
    zone = {
        f"_xmpp-server._tcp.{CAPULET}": {
            "SRV": [f"5 0 {free_port()} xmpp.test.", f"10 0 {capulet.port} xmpp.test."]
        },
        f"_xmpp-server._tcp.{TYBALT}": {"SRV": [f"5 0 {free_port()} xmpp.test."]},
        "xmpp.test": {"A": [HOST]},
        TYBALT: {"A": [HOST]},
    }
    with Nameserver(zone) as dns:
        node = await start_node(settings={"dns": {"resolvers": [dns.address]}})
        async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
            romeo.write(message(ROMEO, JULIET, "found"))
            wire = await capulet.greet(EXTERNAL_FEATURE)
            await capulet.admit(wire)
            await wire.until("id='found'")
            condition, kind, _ = await refusal(romeo, iq(ROMEO, f"a@{TYBALT}", "1"), "1")
            assert (condition, kind) == ("remote-server-timeout", "wait")
            assert (TYBALT, "A") not in dns.asked
