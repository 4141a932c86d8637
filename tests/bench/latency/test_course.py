"""One measurement: times count from the schedule, whatever holds the generator up."""

import asyncio
import time
from array import array
from pathlib import Path

import pytest

from bench.accepting import server_context
from bench.authority import Authority
from bench.latency.alarm import Alarm
from bench.latency.course import at_rate, lone
from bench.latency.ends import Ends, Inbox, Template, Watch, joined
from bench.latency.measure import LOCAL, REMOTE, Plan, as_rows, measure, road
from bench.latency.schedule import schedule
from bench.remote import MARK, STANZA_BYTES, client_context


async def test_an_alarm_rings_when_it_is_due_and_not_before() -> None:
    rung = asyncio.Event()
    with Alarm(rung.set) as alarm:
        due_s = time.monotonic() + 0.005
        alarm.set(due_s)
        await rung.wait()
        assert time.monotonic() >= due_s
        rung.clear()
        alarm.set(due_s)  # long past
        await asyncio.wait_for(rung.wait(), 5)


def test_a_template_makes_stanzas_of_the_usual_size() -> None:
    octets = Template.between("capulet.lit", "montague.lit").of((7, 12))
    assert len(octets) == 2 * STANZA_BYTES
    assert octets.count(MARK) == 2
    assert b"id='n0000007'" in octets


def test_a_watch_ignores_what_is_of_an_earlier_run_or_came_before() -> None:
    watch = Watch(10, array("d", (1.0, 2.0)))
    watch.take((9, 10, 10), 3.0)
    assert watch.arrived == 1
    assert not watch.complete.is_set()
    watch.take((11,), 3.5)
    assert list(watch.latency_s) == [2.0, 1.5]
    assert watch.complete.is_set()
    with pytest.raises(ValueError, match="seven digits"):
        Watch(9_999_999, array("d", (1.0, 2.0)))


async def test_who_is_held_up_is_charged_for_all_that_was_due_meanwhile(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    files = {name: tuple(map(str, authority.issue(name))) for name in (LOCAL, REMOTE)}
    async with joined(client_context(*files[REMOTE]), server_context(*files[LOCAL])) as ends:
        way = road("echo", ends)
        assert (await lone(way, 20, 0.001)).arrived == 20
        asyncio.get_running_loop().call_later(0.1, time.sleep, 0.05)
        found = await at_rate(way, 1000, schedule(1000, 0.5, "even", 1))
    assert (found.sent, found.arrived) == (500, 500)
    # 50 were due in those 50 ms. Were the schedule held up as well, one would have waited.
    slow = sum(count for number, count in found.latency.histogram.items() if number >= 8 * 13)
    assert slow >= 10  # 8.2 ms and more
    assert found.latency.quantiles_us["max"] >= 25_000


async def test_an_inbox_wakes_who_waits_for_a_lost_connection() -> None:
    inbox = Inbox()
    inbox.watch = Watch(0, array("d", (1.0,)))
    inbox.lost()
    assert inbox.watch.complete.is_set()


def test_one_way_roads_do_not_send_back() -> None:
    ends = Ends(None, Inbox(), None, Inbox())  # type: ignore[arg-type]
    road("echo", ends)
    assert ends.inner_inbox.send_back is not None
    assert road("in", ends).inbox is ends.inner_inbox
    assert ends.inner_inbox.send_back is None


def plan(subjects: tuple[str, ...], modes: tuple[str, ...]) -> Plan:
    return Plan(
        subjects=subjects,
        modes=modes,
        rates_per_s=(500.0,),
        seconds=0.3,
        rounds=1,
        lone=20,
        pause_s=0.001,
        spacing="poisson",
        to_saturation=False,
        acceptors=1,
        workers=1,
    )


async def measured(asked: Plan) -> list[dict[str, object]]:
    done: list[None] = []
    rows = as_rows(await measure(asked, lambda words: None, lambda: done.append(None)))
    assert len(done) == asked.steps() == len(rows)
    for row in rows:
        assert row["arrived"] == row["sent"] > 0
        assert set(row["latency"]["quantiles_us"]) == {"p50", "p90", "p99", "p99.9", "max"}  # type: ignore[index]
    return rows


@pytest.mark.processes
async def test_a_real_node_carries_stanzas_there_and_back() -> None:
    rows = await measured(plan(("causeway",), ("echo",)))
    assert [(row["mode"], row["kind"]) for row in rows] == [("echo", "lone"), ("echo", "rate")]


@pytest.mark.interop
@pytest.mark.processes
@pytest.mark.parametrize("name", ["prosody", "ejabberd", "haproxy"])
async def test_a_real_peer_carries_both_ways(name: str) -> None:
    await measured(plan((name,), ("in", "out", "echo")))
