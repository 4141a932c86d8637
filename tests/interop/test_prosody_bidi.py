"""Federation with a real Prosody: how many connections, and that every stanza arrives in order."""

import asyncio
from pathlib import Path

import pytest

from bench.authority import Authority
from bench.traffic import Record
from tests.support.component import faults, settled
from tests.support.federation import Federate, Federation, greet, route
from tests.support.nodes import at_rest

MESSAGES = 10_000
PINGS = 500
USERS = 4


async def exchange(both: Federation, record: Record) -> None:
    """The whole load, both ways at once, until all has arrived and every ping is answered."""
    async with asyncio.TaskGroup() as group:
        for sender, target in ((both.romeo, both.juliet), (both.juliet, both.romeo)):
            routes = [route(sender, target, user) for user in range(1, USERS + 1)]
            group.create_task(sender.send_numbered(routes, MESSAGES, PINGS))

    async def is_complete() -> bool:
        arrived = min(both.romeo.arrived, both.juliet.arrived)
        return arrived > MESSAGES and record.pings_answered == record.pings_sent

    await settled(is_complete, limit_s=50)


async def conserved(both: Federation) -> None:
    """Every stanza of both directions was handed over: none bounced, none still in flight."""
    await at_rest(both.node)
    metrics = await both.node.metrics()
    came = sum(
        value
        for (name, labels), value in metrics.items()
        if name == "causeway_stanzas_total" and labels[-1] == "in"
    )
    assert came == 2 * (MESSAGES + 1) + 4 * PINGS
    assert metrics["causeway_stanza_outcomes_total", ("handed",)] == came
    assert metrics["causeway_process_restarts_total", ("worker",)] == 0
    assert metrics["causeway_process_restarts_total", ("acceptor",)] == 0


@pytest.mark.timeout(120)
@pytest.mark.clause("BIDI-21", "BIDI-06", "BIDI-09", "RTE-05", "SAS-01", "SAS-02")
@pytest.mark.parametrize("dialled_by", ["node", "prosody"])
async def test_external_and_bidi_need_one_connection(federate: Federate, dialled_by: str) -> None:
    record = Record(2 * MESSAGES + 2, 2 * PINGS)
    both = await federate(record, dialback=False)
    await greet(*both.parties(dialled_by))
    await exchange(both, record)
    assert faults(record) == {}
    assert both.connections() == 1
    direction = "out" if dialled_by == "node" else "in"
    assert await both.streams() == [(direction, "external", True)]
    assert len(both.prosody.established()) == 1
    metrics = await both.node.metrics()
    other = "in" if direction == "out" else "out"
    assert metrics["causeway_s2s_streams", (direction, "external", "true")] == 1
    assert metrics["causeway_s2s_authenticated_total", (direction, "external")] == 1
    assert metrics["causeway_s2s_authenticated_total", (other, "external")] == 0
    await conserved(both)
    reused = metrics["causeway_bidi_reuse_total", ()]
    assert (reused == 0) == (dialled_by == "node")


@pytest.mark.timeout(120)
@pytest.mark.clause("DBK-09", "DBK-12", "DBK-15", "DBK-19", "BIDI-10", "BIDI-18")
@pytest.mark.parametrize("dialled_by", ["node", "prosody"])
async def test_dialback_and_bidi_need_two(
    federate: Federate, tmp_path: Path, dialled_by: str
) -> None:
    """Prosody verifies on a stream it opens for good, and stays with it (scenarios 3 and 51)."""
    strangers = Authority.make(tmp_path).anchors
    record = Record(2 * MESSAGES + 2, 2 * PINGS)
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


@pytest.mark.timeout(120)
@pytest.mark.clause("BIDI-01", "BIDI-12")
async def test_without_bidi_each_way_has_its_stream(federate: Federate) -> None:
    record = Record(2 * MESSAGES + 2, 2 * PINGS)
    both = await federate(record, prosody={"bidi": False})
    await greet(both.romeo, both.juliet)
    await exchange(both, record)
    assert faults(record) == {}
    assert both.connections() == 2
    assert await both.streams() == [("in", "external", False), ("out", "external", False)]
    await conserved(both)
