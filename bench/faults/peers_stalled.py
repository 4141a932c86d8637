"""Experiments on remote servers that read slowly or not at all, or whose connections are reset."""

import asyncio
import socket
import subprocess
from shutil import which
from typing import Final

from bench.faults.experiment import Say, Settings, course
from bench.faults.stage import Scene, Stage
from bench.faults.traffic import STANZA_BYTES, Flow
from bench.faults.verdict import Judge, Outcome, unexpected
from bench.peers.causeway import Toml

DOUBTFUL: Final = "remote-server-timeout: delivery unknown"
RESET_EVERY_S: Final = 3.0
AFTER_S: Final = 3.0
BEFORE_S: Final = 0.3
"""What is under way when the trouble begins belongs to it."""
SHORT_S: Final = 30.0
SMALL: Final[dict[str, Toml]] = {
    "limits": {"output_buffer_bytes": 512 << 10, "lane_window_bytes": 512 << 10}
}
"""For runs that are too short to fill what is allowed by default."""
ROOM_BYTES: Final = (16 << 20) + 2 * (2 << 20)
"""By default: the output buffer of a stream, and the window of each of its two lanes."""
KERNEL_BYTES: Final = 2 << 20
"""What the sockets between the node and a peer that reads nothing may hold, or somewhat less."""
SLOW_BYTES_PER_S: Final = 1000.0
CATCH_UP_BYTES_PER_S: Final = 3_000_000.0
KBIT_BYTES_PER_S: Final = 125.0
HEAD_OF_LINE_MS: Final = 2000.0


def _to(stage: Stage, number: int = 0) -> str:
    """A remote domain of the scene."""
    return sorted({flow.pair.target for flow in stage.recorder.flows if _is_out(flow)})[number]


def _is_out(flow: Flow) -> bool:
    return flow.pair.target.startswith("capulet")


async def stopped(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 13: R to a domain that reads nothing, R to the others."""
    seconds = settings.lasting(120)
    short = SMALL if seconds < SHORT_S else {}
    room = KERNEL_BYTES + (3 * (512 << 10) if short else ROOM_BYTES)
    scene = Scene(bidi=0, inward=False, settings=short)

    async def stop_reading(stage: Stage, seconds: float, say: Say) -> None:
        stage.home.read_at(_to(stage), 0)
        say(f"{_to(stage)} reads nothing any more")
        await asyncio.sleep(seconds - AFTER_S)
        # Not all at once: the others' ends are in this process, and would wait for it.
        stage.home.read_at(_to(stage), CATCH_UP_BYTES_PER_S)
        say("it reads again")

    def judging(judge: Judge, stage: Stage) -> None:
        judge.whole()
        stalled, recorder = _to(stage), stage.recorder
        at_it = recorder.findings(lambda _, flow: flow.pair.target == stalled)
        judge.at_least("octets to it, for the bounds to be met", at_it.sent * STANZA_BYTES, room)
        judge.at_least("bounced of those to it", at_it.bounced, 1)
        judge.at_most("bounced of the others", judge.findings.bounced - at_it.bounced, 0)
        _others_keep_pace(judge, stage, stalled, settings.noise_ms)
        judge.household(written=False)

    return await course(
        13,
        "peer stops reading",
        number,
        scene,
        stop_reading,
        judging,
        per_s=settings.per_s * 2,
        seconds=seconds + AFTER_S,
        say=say,
        # A quarter of the flows go to it, and they are to be half of the stanzas.
        weight=lambda flow: 3.0 if flow.pair.target == "capulet0.lit" else 1.0,
        patience_s=10,
    )


def _others_keep_pace(judge: Judge, stage: Stage, stalled: str, noise_ms: float) -> None:
    recorder = stage.recorder
    trouble_s = stage.notes["trouble_s"]
    calm_s = (stage.notes["began_s"], trouble_s - BEFORE_S)
    calm = recorder.findings(
        lambda n, flow: flow.pair.target != stalled and calm_s[0] <= recorder.due_s[n] < calm_s[1]
    )
    others = recorder.findings(
        lambda n, flow: flow.pair.target != stalled and recorder.due_s[n] >= trouble_s
    )
    limit_ms = max(calm.p99_ms * 1.5, calm.p99_ms + noise_ms)
    judge.at_most("p99 of the others", others.p99_ms, limit_ms, "ms")
    judge.that("p99 in the calm", True, f"{calm.p99_ms:.2f} ms", "for comparison")


async def slow(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 14: a domain that reads 1 kB/s."""

    async def slow_down(stage: Stage, seconds: float, say: Say) -> None:
        stage.home.read_at(_to(stage), SLOW_BYTES_PER_S)
        say(f"{_to(stage)} reads {SLOW_BYTES_PER_S:,.0f} octets a second")
        await asyncio.sleep(seconds - AFTER_S)
        stage.home.read_at(_to(stage), None)

    def judging(judge: Judge, stage: Stage) -> None:
        judge.whole()
        stalled = _to(stage)
        others = stage.recorder.findings(lambda _, flow: flow.pair.target != stalled)
        judge.at_most("worst stall of the others", others.worst_ms, HEAD_OF_LINE_MS, "ms")
        judge.at_most("bounced of the others", others.bounced, 0)
        judge.household(written=False)

    return await course(
        14,
        "peer reads 1 kB/s",
        number,
        Scene(bidi=0, inward=False),
        slow_down,
        judging,
        per_s=settings.per_s / 8,
        seconds=settings.lasting(60) + AFTER_S,
        say=say,
        patience_s=10,
    )


async def one_of_twenty(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 18: 20 domains, one behind 1 kbit/s."""

    async def slow_down(stage: Stage, seconds: float, say: Say) -> None:
        stage.home.read_at(_to(stage), KBIT_BYTES_PER_S)
        await asyncio.sleep(seconds - AFTER_S)
        stage.home.read_at(_to(stage), None)

    def judging(judge: Judge, stage: Stage) -> None:
        judge.whole()
        slow_one, recorder = _to(stage), stage.recorder
        from_s = stage.notes["trouble_s"]
        to_s = from_s + stage.notes["seconds"] - AFTER_S
        others = recorder.findings(
            lambda n, flow: flow.pair.target != slow_one and from_s <= recorder.due_s[n] < to_s
        )
        planned = sum(
            1
            for n, due_s in enumerate(recorder.due_s)
            if from_s <= due_s < to_s and recorder.flow_of(n).pair.target != slow_one
        )
        on_time = sum(
            1
            for n, due_s in enumerate(recorder.due_s)
            if from_s <= due_s < to_s
            and recorder.flow_of(n).pair.target != slow_one
            and due_s + recorder.took_s[n] < to_s + 1.0
        )
        judge.at_least("share of their rate that 19 got", on_time / max(1, planned), 0.95)
        judge.at_most("bounced of the others", others.bounced, 0)
        judge.household(written=False)

    return await course(
        18,
        "1 kbit/s to one peer of 20",
        number,
        Scene(remotes=20, hosted=1, bidi=0, inward=False),
        slow_down,
        judging,
        per_s=settings.per_s,
        seconds=settings.lasting(30) + AFTER_S,
        say=say,
        patience_s=10,
    )


async def resets(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 16: the node's connections to remote domains are reset, one after another."""

    async def reset(stage: Stage, seconds: float, say: Say) -> None:
        for turn in range(int(seconds / RESET_EVERY_S)):
            domains = sorted({flow.pair.target for flow in stage.recorder.flows if _is_out(flow)})
            for stream in stage.home.to({domains[turn % len(domains)]}):
                await _reset(stream.peer_name()[1], stream.name()[1])
                stage.notes["resets"] = stage.notes.get("resets", 0) + 1
            say(f"reset the streams to {domains[turn % len(domains)]}")
            await asyncio.sleep(RESET_EVERY_S)

    def judging(judge: Judge, stage: Stage) -> None:
        found = judge.findings
        judge.at_least("connections reset", stage.notes.get("resets", 0), 1)
        judge.none("lost", "duplicated", "reordered", "strange")
        judge.at_most("both delivered and bounced", found.both, found.reasons.get(DOUBTFUL, 0))
        judge.at_most("bounced for another reason", unexpected(found, (DOUBTFUL,)), 0)
        judge.household()

    return await course(
        16,
        "connections reset",
        number,
        Scene(bidi=0),
        reset,
        judging,
        per_s=settings.per_s,
        seconds=settings.lasting(60),
        say=say,
    )


async def _reset(near_port: int, far_port: int) -> None:
    """The kernel ends the node's end, as if a RST had come, and tells ours by another."""
    ends = ["sport", "=", f":{near_port}", "dport", "=", f":{far_port}"]
    process = await asyncio.create_subprocess_exec(
        "ss", "-K", "-t", *ends, stdout=asyncio.subprocess.DEVNULL
    )
    await process.wait()


def cannot_reset() -> str:
    """Why the kernel will not reset a connection for us; empty when it will."""
    if which("ss") is None:
        return "there is no ss (iproute2)"
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with socket.create_connection(listening.getsockname()) as near, listening.accept()[0]:
            near_port, far_port = near.getsockname()[1], near.getpeername()[1]
            ends = ["sport", "=", f":{near_port}", "dport", "=", f":{far_port}"]
            subprocess.run(["ss", "-K", "-t", *ends], capture_output=True, check=False)
            try:
                near.send(b"x")
            except ConnectionError:
                return ""
    return "ss -K does nothing here: it needs CAP_NET_ADMIN and CONFIG_INET_DIAG_DESTROY"
