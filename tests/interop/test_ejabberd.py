"""Federation with a real ejabberd, which has no bidi: a connection each way, nothing lost."""

import re
from pathlib import Path

import pytest

from bench.authority import Authority
from tests.support.component import faults, settled
from tests.support.eventually import eventually
from tests.support.federation import Federate, conserved, exchange, greet, planned
from tests.support.nodes import CAPULET, MONTAGUE, TYBALT, at_rest
from tests.support.scripted_peer import message


@pytest.mark.scenario(21, 36, 51)
@pytest.mark.clause("BIDI-01", "BIDI-12", "SAS-01", "SAS-02", "DBK-09", "DBK-12", "DBK-19")
@pytest.mark.parametrize("dialled_by", ["node", "ejabberd"])
@pytest.mark.parametrize("mechanism", ["external", "dialback"])
async def test_each_way_has_its_connection(
    federate_ejabberd: Federate, tmp_path: Path, mechanism: str, dialled_by: str
) -> None:
    """One connection each way that stands, and by dialback one more that comes and goes."""
    record = planned()
    if mechanism == "external":
        both = await federate_ejabberd(record, ejabberd={"dialback": False}, dialback=False)
    else:
        strangers = Authority.make(tmp_path).anchors
        both = await federate_ejabberd(
            record, ejabberd={"trust_anchors": strangers}, trust_anchors=strangers
        )
    await greet(*both.parties(dialled_by))
    await exchange(both, record)
    assert faults(record) == {}
    assert await both.streams() == [("in", mechanism, False), ("out", mechanism, False)]
    assert both.connections() == 2
    await eventually(lambda: len(both.server.proofs()) >= 2)  # its log may lag behind
    assert sorted(both.server.proofs()) == [
        ("Incoming", MONTAGUE, CAPULET, mechanism),
        ("Outgoing", CAPULET, MONTAGUE, mechanism),
    ]
    await conserved(both)
    metrics = await both.node.metrics()
    component, to_verify = 1, mechanism == "dialback"
    assert metrics["causeway_tcp_connections_total", ("out",)] == 1
    assert metrics["causeway_tcp_connections_total", ("in",)] == component + 1 + to_verify
    assert metrics["causeway_bidi_reuse_total", ()] == 0


@pytest.mark.clause("RTE-05")
async def test_what_ejabberd_itself_answers_comes_back(federate_ejabberd: Federate) -> None:
    both = await federate_ejabberd(ejabberd={"hosts": [TYBALT]})
    await greet(both.romeo, both.juliet)
    ping = "<ping xmlns='urn:xmpp:ping'/>"
    disco = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    for question, inside in ((ping, ()), (disco, ("query", "identity", "feature"))):
        got = await both.romeo.ask(
            f"<iq type='get' id='1' from='romeo@{MONTAGUE}' to='{TYBALT}'>{question}</iq>",
            lambda got: got.attributes["from"] == TYBALT,
        )
        assert (got.kind, got.attributes["id"]) == ("result", "1")
        assert {*inside} <= {*got.inside}
    await at_rest(both.node)


@pytest.mark.scenario(19)
@pytest.mark.clause("BIDI-02")
async def test_19_plaintext_carries_nothing_but_starttls(federate_ejabberd: Federate) -> None:
    """ejabberd, which requires TLS, would end the stream at anything else."""
    both = await federate_ejabberd(ejabberd={"log_level": "debug"})
    await greet(both.romeo, both.juliet)
    await both.server.stop()  # its log may lag behind what it does
    plain = re.findall(r"\(tcp\|(<.*?>)\) Received XML on stream = (.*)", both.server.log())
    [stream] = [pid for pid, octets in plain if octets.startswith('<<"<starttls')]
    header, *others = [octets for pid, octets in plain if pid == stream]
    assert "<stream:stream" in header
    assert others == ["<<\"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\">>"]


@pytest.mark.scenario(25)
@pytest.mark.clause("STR-16", "RTE-07")
async def test_25_idle_streams_that_ejabberd_ends_are_replaced(
    federate_ejabberd: Federate,
) -> None:
    both = await federate_ejabberd(ejabberd={"options": {"s2s_timeout": "1 second"}})

    async def is_gone() -> bool:
        return await both.streams() == [] and both.connections() == 0

    for first in ("node", "ejabberd", "node"):
        await greet(*both.parties(first))
        await settled(is_gone)
    assert faults(both.romeo.record) == {}
    await at_rest(both.node)


@pytest.mark.scenario(27)
@pytest.mark.clause("ERR-03", "RTE-10", "DBK-27")
@pytest.mark.parametrize("mechanism", ["external", "dialback"])
async def test_27_a_domain_that_ejabberd_does_not_serve(
    federate_ejabberd: Federate, tmp_path: Path, mechanism: str
) -> None:
    """Only that pair fails."""
    trust = {} if mechanism == "external" else {"trust_anchors": Authority.make(tmp_path).anchors}
    both = await federate_ejabberd(ejabberd=trust, **trust)
    await greet(both.romeo, both.juliet)
    got = await both.romeo.ask(
        message(f"romeo@{MONTAGUE}", f"a@{TYBALT}", "1"), lambda got: got.kind == "error"
    )
    assert "remote-server-not-found" in got.inside
    await greet(both.juliet, both.romeo)
    assert await both.streams() == [("in", mechanism, False), ("out", mechanism, False)]
    assert both.connections() == 2
    await at_rest(both.node)


@pytest.mark.scenario(28)
@pytest.mark.clause("SAS-01", "DBK-09")
@pytest.mark.parametrize("dialback", [True, False])
async def test_28_a_certificate_for_servers_alone(
    federate_ejabberd: Federate, issuer: Authority, dialback: bool
) -> None:
    """ejabberd 23.01 refuses it of a client: dialback proves us, or nothing does."""
    ours = {"certificates": issuer.directory, "trust_anchors": issuer.anchors}
    both = await federate_ejabberd(ejabberd={"dialback": dialback, **ours}, **ours)
    if dialback:
        await greet(both.romeo, both.juliet)
        assert await both.streams() == [("in", "external", False), ("out", "dialback", False)]
    else:
        got = await both.romeo.ask(
            message(f"romeo@{MONTAGUE}", f"juliet@{CAPULET}", "1"), lambda got: got.kind == "error"
        )
        assert got.inside[1].startswith("remote-server-")
    await at_rest(both.node)
