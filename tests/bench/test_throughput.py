"""The whole-node measurement: every mode moves what it says, and a run cut short is no figure."""

import asyncio
import os

import pytest

from bench import throughput
from bench.remote import MARK, STANZA_BYTES, Load

RESULT = throughput.Result("in", 1000, STANZA_BYTES, 0.5, 4.0, {"a0.1": 4.0}, 0.3)


def test_a_row_has_the_rate_too() -> None:
    (row,) = throughput.as_rows([RESULT])
    assert row["per_second"] == RESULT.per_second == 2000
    assert row["cpu_us_by_process"] == {"a0.1": 4.0}


def test_cpu_of_a_process_only_grows() -> None:
    before = throughput.cpu_s(os.getpid())
    sum(range(2_000_000))
    assert throughput.cpu_s(os.getpid()) > before > 0


async def test_a_run_is_over_when_all_has_arrived() -> None:
    end = Load()

    async def send() -> None:
        asyncio.get_running_loop().call_soon(end.count, MARK * 3)

    await throughput._run(end, send, 3)
    assert end.arrived == 3


async def test_a_run_that_was_cut_short_is_an_error() -> None:
    end = Load()

    async def send() -> None:
        end.count(MARK)
        end.connection_lost(None)

    with pytest.raises(ConnectionError, match="1 of 3"):
        await throughput._run(end, send, 3)


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["out", "echo", "in-8"])
async def test_a_small_node_carries_each_mode(mode: str) -> None:
    said: list[str] = []
    (result,) = await throughput.measure(
        stanzas=20_001, modes=(mode,), rounds=1, workers=1, acceptors=1, say=said.append
    )
    moved = {"out": 20_001, "echo": 40_002, "in-8": 20_000}[mode]
    assert (result.mode, result.stanzas, result.bytes_each) == (mode, moved, STANZA_BYTES)
    assert set(result.cpu_us_by_process) >= {"supervisor", "a0.1", "w0.1"}
    assert result.cpu_us == pytest.approx(sum(result.cpu_us_by_process.values()))
    assert result.cpu_us > 0
    assert result.wall_s > 0
    assert [line for line in said if line.startswith(f"round 1 {mode}")] == said
