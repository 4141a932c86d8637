"""Experiments on acceptors: killed where they write to peers, and where they read from them."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import Final

from bench.faults.ends import HearingDialled
from bench.faults.experiment import Judging, Say, Settings, course
from bench.faults.peers_stalled import DOUBTFUL
from bench.faults.stage import Scene, Stage, place
from bench.faults.traffic import STANZA_BYTES
from bench.faults.verdict import Judge, Outcome, unexpected
from bench.peers.causeway import Toml

VICTIM: Final = 1
"""The slot of the acceptor that is killed; what enters the node elsewhere enters at slot 0."""
REST_S: Final = 4.0
EVERY_S: Final = 5.0
BACK_MS: Final = 3000.0
UNACKNOWLEDGED: Final = 1000
"""Stanzas per stream that may be in doubt."""
WINDOW_BYTES: Final = 65_536 + (1 << 20)
"""Per lane, of a peer without stream management: what the kernel and the process may hold."""


def kill_slot(stage: Stage, slot: int) -> str:
    """SIGKILL to the acceptor that has this slot now; its name."""
    for name, pid in stage.node.children().items():
        if name.startswith(f"a{slot}."):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return name
    return "none"


async def _kill_once(stage: Stage, seconds: float, say: Say) -> None:
    await asyncio.sleep(seconds / 3)
    say(f"killed {kill_slot(stage, VICTIM)}")
    await asyncio.sleep(seconds * 2 / 3)


async def _components_elsewhere(stage: Stage) -> None:
    for road in stage.components.values():
        await place(stage, road, 0)


async def _remotes_at_the_victim(stage: Stage) -> None:
    await _components_elsewhere(stage)
    for road in stage.remotes.values():
        await place(stage, road, VICTIM)


def _in_doubt(judge: Judge, stage: Stage) -> None:
    found = judge.findings
    doubtful = found.reasons.get(DOUBTFUL, 0)
    judge.at_least("stanzas sent", found.sent, 1)
    judge.none("lost", "duplicated", "reordered", "strange")
    judge.at_most("both delivered and bounced", found.both, doubtful)
    judge.at_most("bounced for another reason", unexpected(found, (DOUBTFUL,)), 0)
    judge.household(books=False)


async def egress(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 9: the acceptor that writes to remote domains is killed; peers acknowledge TCP."""
    return await course(
        9,
        "egress acceptor killed, level tcp",
        number,
        Scene(bidi=0, inward=False, dialled_from=VICTIM),
        _kill_once,
        _in_doubt,
        per_s=settings.per_s,
        seconds=settings.lasting(9),
        say=say,
        prepare=_components_elsewhere,
    )


def _managed_streams(stage: Stage) -> int:
    """Streams of ours that stream management is used on."""
    dialled = [each for each in stage.home.streams if isinstance(each, HearingDialled)]
    ours = [road.end for road in stage.remotes.values() if road.end is not None]
    return sum(each.is_managed for each in (*dialled, *ours))


async def _kill_managed(stage: Stage, seconds: float, say: Say) -> None:
    stage.notes["managed"] = _managed_streams(stage)
    await _kill_once(stage, seconds, say)


def _bounced_in_doubt(judge: Judge, stage: Stage) -> None:
    managed = stage.notes["managed"]
    judge.at_least("streams with stream management", managed, 1)
    doubtful = judge.findings.reasons.get(DOUBTFUL, 0)
    judge.at_most("in doubt", doubtful, UNACKNOWLEDGED * managed)
    _in_doubt(judge, stage)


def _resent_in_doubt(judge: Judge, stage: Stage) -> None:
    managed = stage.notes["managed"]
    judge.at_least("streams with stream management", managed, 1)
    judge.none("lost", "bounced", "reordered", "both", "strange")
    judge.at_most("duplicated", judge.findings.duplicated, UNACKNOWLEDGED * managed)
    judge.household(books=False)


async def egress_managed(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 7."""
    return await _egress_managed(7, {}, _bounced_in_doubt, settings, number, say)


async def egress_resending(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 8."""
    resend: dict[str, Toml] = {"delivery": {"in_doubt": "resend"}}
    return await _egress_managed(8, resend, _resent_in_doubt, settings, number, say)


async def _egress_managed(
    which: int,
    node: dict[str, Toml],
    judging: Judging,
    settings: Settings,
    number: int,
    say: Say,
) -> Outcome:
    return await course(
        which,
        "egress acceptor killed, SM peers",
        number,
        Scene(bidi=0, inward=False, dialled_from=VICTIM, is_managed=True, settings=node),
        _kill_managed,
        judging,
        per_s=settings.per_s,
        seconds=settings.lasting(9),
        say=say,
        prepare=_components_elsewhere,
    )


async def ingress_managed(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 10: peers send again what the killed acceptor has not acknowledged."""

    def judging(judge: Judge, stage: Stage) -> None:
        found = judge.findings
        judge.at_least("streams with stream management", stage.notes["managed"], 1)
        judge.none("lost", "bounced", "reordered", "both", "strange")
        once = found.duplicated - found.duplicated_resent
        judge.at_most("duplicated that nobody resent", once, 0)
        judge.household(books=False)

    return await course(
        10,
        "ingress acceptor killed, SM peers",
        number,
        Scene(bidi=0, outward=False, is_managed=True),
        _kill_managed,
        judging,
        per_s=settings.per_s,
        seconds=settings.lasting(9),
        say=say,
        prepare=_remotes_at_the_victim,
    )


def _documented_window(judge: Judge, stage: Stage) -> None:
    found = judge.findings
    lanes = len({flow.pair for flow in stage.recorder.flows})
    judge.at_least("stanzas sent", found.sent, 1)
    judge.none("duplicated", "reordered", "both", "strange")
    judge.at_most("lost that no cut stream explains", found.lost - found.lost_with_stream, 0)
    lost_bytes = found.lost * STANZA_BYTES
    judge.at_most("lost with the streams", lost_bytes, lanes * WINDOW_BYTES, "B")
    judge.household(books=False)


async def ingress(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 11: the acceptor that reads from remote domains is killed."""
    return await course(
        11,
        "ingress acceptor killed, no SM",
        number,
        Scene(bidi=0, outward=False),
        _kill_once,
        _documented_window,
        per_s=settings.per_s,
        seconds=settings.lasting(9),
        say=say,
        prepare=_remotes_at_the_victim,
    )


async def again_and_again(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 12: one of three acceptors killed every 5 s."""

    async def kill_in_turn(stage: Stage, seconds: float, say: Say) -> None:
        until_s, turn = time.monotonic() + seconds - REST_S, 0
        while time.monotonic() < until_s:
            say(f"killed {kill_slot(stage, turn % 3)}")
            turn += 1
            await asyncio.sleep(EVERY_S)

    def judging(judge: Judge, stage: Stage) -> None:
        found = judge.findings
        judge.none("reordered", "strange")
        once = found.duplicated - found.duplicated_resent
        judge.at_most("duplicated that nobody resent", once, 0)
        judge.at_most("lost that no cut stream explains", found.lost - found.lost_with_stream, 0)
        judge.at_most("both delivered and bounced", found.both, found.reasons.get(DOUBTFUL, 0))
        judge.at_most("bounced for another reason", unexpected(found, (DOUBTFUL,)), 0)
        judge.at_most("longest until a stream is back", found.worst_ms, BACK_MS, "ms")
        judge.household(books=False)

    return await course(
        12,
        "acceptors killed every 5 s",
        number,
        Scene(acceptors=3, is_managed=True),
        kill_in_turn,
        judging,
        per_s=settings.per_s,
        seconds=settings.lasting(60) + REST_S,
        say=say,
    )
