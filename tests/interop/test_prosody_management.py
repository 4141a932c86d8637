"""Stream management with Prosody's mod_smacks (XEP-0198): both count, and believe each other."""

import os
import re
import signal

import pytest

from bench.traffic import Record
from tests.support.component import faults, settled
from tests.support.federation import (
    Federate,
    Federation,
    conserved,
    exchange,
    greet,
    planned,
    route,
)
from tests.support.nodes import at_rest
from tests.support.scripted_peer import message

LOST = 20
"""Few enough that none is acknowledged before the second in which it is asked for."""


@pytest.mark.timeout(120)
@pytest.mark.clause("SMX-01", "SMX-02", "SMX-03", "SMX-04", "SMX-06")
@pytest.mark.parametrize("bidi", [True, False])
@pytest.mark.parametrize("dialled_by", ["node", "prosody"])
async def test_both_count_all_that_goes_over(
    federate: Federate, dialled_by: str, bidi: bool
) -> None:
    record = planned()
    both = await federate(record, prosody={"management": True, "bidi": bidi, "log_level": "debug"})
    await greet(*both.parties(dialled_by))
    await exchange(both, record)
    assert faults(record) == {}
    await conserved(both)
    log = both.server.log()
    assert "Enabling stream management" in log
    acked = [int(h) for h in re.findall(r"Received\[s2s\w+\]: <a [^>]*\bh='(\d+)'", log)]
    assert max(acked) > 1000, "it has been told of what it sent"

    async def all_acknowledged() -> bool:
        queues = re.findall(r"#queue = (\d+) \(acked", both.server.log())
        return queues[-1] == "0"

    await settled(all_acknowledged)
    assert "handled-count-too-high" not in both.server.log()
    assert "unacked stanzas" not in both.server.log()


async def is_written(both: Federation, stanzas: int) -> bool:
    """Whether so many have gone out on streams to the other server."""
    metrics = await both.node.metrics()
    return metrics["causeway_stanzas_total", ("message", "s2s", "out")] == stanzas


@pytest.mark.timeout(120)
@pytest.mark.scenario(50)
@pytest.mark.clause("SMX-08")
async def test_50_what_a_killed_prosody_had_not_counted_comes_back_once(
    federate: Federate,
) -> None:
    record = Record(0, 0)
    both = await federate(record, prosody={"management": True})
    await greet(both.romeo, both.juliet)
    await at_rest(both.node)
    os.kill(both.server.pid, signal.SIGSTOP)  # its kernel takes what comes, it does not
    one = route(both.romeo, both.juliet)
    await both.romeo.send("".join(message(*one, f"n{n}") for n in range(1, LOST + 1)))
    await settled(lambda: is_written(both, LOST + 1))
    assert both.romeo.others == []
    os.kill(both.server.pid, signal.SIGKILL)
    await both.romeo.until(lambda: len(both.romeo.others) >= LOST)
    numbers = [int(got.attributes["id"][1:]) for got in both.romeo.others]
    assert numbers == list(range(1, LOST + 1))
    assert all("remote-server-timeout" in got.inside for got in both.romeo.others)
    await at_rest(both.node)
    assert len(both.romeo.others) == LOST
