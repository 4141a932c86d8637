"""Federation with a real Prosody: how many connections, and that every stanza arrives in order."""

from pathlib import Path

import pytest

from bench.authority import Authority
from tests.support.component import faults
from tests.support.federation import Federate, conserved, exchange, greet, planned


@pytest.mark.scenario(1, 10, 51)
@pytest.mark.clause("BIDI-21", "BIDI-06", "BIDI-09", "RTE-05", "SAS-01", "SAS-02")
@pytest.mark.parametrize("dialled_by", ["node", "prosody"])
async def test_external_and_bidi_need_one_connection(federate: Federate, dialled_by: str) -> None:
    record = planned()
    both = await federate(record, dialback=False)
    await greet(*both.parties(dialled_by))
    await exchange(both, record)
    assert faults(record) == {}
    assert both.connections() == 1
    direction = "out" if dialled_by == "node" else "in"
    assert await both.streams() == [(direction, "external", True)]
    assert len(both.server.established()) == 1
    metrics = await both.node.metrics()
    other = "in" if direction == "out" else "out"
    assert metrics["causeway_s2s_streams", (direction, "external", "true")] == 1
    assert metrics["causeway_s2s_authenticated_total", (direction, "external")] == 1
    assert metrics["causeway_s2s_authenticated_total", (other, "external")] == 0
    await conserved(both)
    reused = metrics["causeway_bidi_reuse_total", ()]
    assert (reused == 0) == (dialled_by == "node")


@pytest.mark.scenario(2, 3, 51)
@pytest.mark.clause("DBK-09", "DBK-12", "DBK-15", "DBK-19", "BIDI-10", "BIDI-18")
@pytest.mark.parametrize("dialled_by", ["node", "prosody"])
async def test_dialback_and_bidi_need_two(
    federate: Federate, tmp_path: Path, dialled_by: str
) -> None:
    """Prosody verifies on a stream it opens for good, and stays with it (scenarios 3 and 51)."""
    strangers = Authority.make(tmp_path).anchors
    record = planned()
    both = await federate(
        record,
        prosody={"s2s_secure_auth": False, "trust_anchors": strangers},
        trust_anchors=strangers,
    )
    await greet(*both.parties(dialled_by))
    await exchange(both, record)
    assert faults(record) == {}
    assert both.connections() == 2
    assert await both.streams() == [("in", "dialback", True), ("out", "dialback", True)]
    await conserved(both)


@pytest.mark.scenario(36, 51)
@pytest.mark.clause("BIDI-01", "BIDI-12")
async def test_without_bidi_each_way_has_its_stream(federate: Federate) -> None:
    record = planned()
    both = await federate(record, prosody={"bidi": False})
    await greet(both.romeo, both.juliet)
    await exchange(both, record)
    assert faults(record) == {}
    assert both.connections() == 2
    assert await both.streams() == [("in", "external", False), ("out", "external", False)]
    await conserved(both)
