"""Experiments on operators' doings under load: rolling restart, reload, new certificates."""

import asyncio
import datetime
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from cryptography import x509
from OpenSSL import SSL

from bench.accepting import HOST
from bench.faults.experiment import Say, Settings, course
from bench.faults.stage import SECRET, Scene, Stage
from bench.faults.verdict import Judge, Outcome
from bench.peers.causeway import TREE, Toml, toml
from bench.remote import client_context

RESTARTS: Final = 2
EXIT_S: Final = 20.0
MANY: Final = 500
APPLIED_S: Final = 5.0
RELOAD_EVERY_S: Final = 4.0
_ENDED: Final = re.compile(r'"event": "process.ended"')


async def _causeway(stage: Stage, *words: str) -> tuple[int, str]:
    """Run the command line as an operator does; status and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router", *words, "--config", str(stage.node.config_path)),
        env={**os.environ, "PYTHONPATH": str(TREE)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, output.decode(errors="replace")


def _ends(stage: Stage) -> list[dict[str, Any]]:
    """What the log says of processes that ended."""
    lines = stage.node.log().splitlines()
    return [json.loads(line) for line in lines if _ENDED.search(line)]


async def rolling_restart(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 32: `causeway restart`, twice."""

    async def restart(stage: Stage, seconds: float, say: Say) -> None:
        before = set(stage.node.children())
        for turn in range(RESTARTS):
            from_s = time.monotonic()
            status, said = await _causeway(stage, "restart")
            stage.notes["status"] = stage.notes.get("status", 0) + abs(status)
            stage.notes["longest_s"] = max(
                stage.notes.get("longest_s", 0), time.monotonic() - from_s
            )
            last = said.strip().splitlines()[-1:] or ["nothing"]
            say(f"restart {turn + 1}: status {status}, {last[0]}")
        stage.notes["same"] = len(before & set(stage.node.children()))
        await asyncio.sleep(2)
        stage.stop()

    def judging(judge: Judge, stage: Stage) -> None:
        judge.clean()
        judge.at_most("status of `causeway restart`", stage.notes["status"], 0)
        judge.at_most("processes that are the same", stage.notes["same"], 0)
        ends = _ends(stage)
        badly = [end["process"] for end in ends if end["how"] != "exit code 0"]
        judge.at_least("processes ended", len(ends), RESTARTS * 4)
        judge.that("all exits are 0", not badly, ", ".join(badly) or "yes")
        processes = 5
        longest_s = stage.notes["longest_s"]
        judge.at_most("a whole restart", longest_s, EXIT_S * processes, "s")
        judge.household(written=True)

    return await course(
        32,
        "rolling restart",
        number,
        Scene(),
        restart,
        judging,
        per_s=settings.per_s,
        seconds=RESTARTS * EXIT_S * 5,
        say=say,
    )


async def reload(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 33: hundreds of domains come and go by SIGHUP; one that is in use goes, too."""
    crowd = [f"d{n}.verona.lit" for n in range(MANY)]
    leaving = "montague1.lit"

    async def prepare(stage: Stage) -> None:
        for name in crowd:
            stage.authority.issue(name)

    async def come_and_go(stage: Stage, seconds: float, say: Say) -> None:
        stage.notes["streams"] = len(_streams_of(await stage.node.streams(), "montague0.lit"))
        for domains in (crowd, crowd[: MANY // 2], []):
            await _reloaded(stage, {name: _component() for name in domains}, ())
            say(f"reloaded with {len(domains)} further domains")
            await asyncio.sleep(RELOAD_EVERY_S)
        rows = await stage.node.streams()
        stage.notes["streams after"] = len(_streams_of(rows, "montague0.lit"))
        stage.notes["left_s"] = time.monotonic()
        await _reloaded(stage, {}, (leaving,))
        say(f"reloaded without {leaving}")
        await asyncio.sleep(RELOAD_EVERY_S)
        stage.stop()

    def judging(judge: Judge, stage: Stage) -> None:
        recorder = stage.recorder
        kept = recorder.findings(lambda n, flow: leaving not in flow.pair)
        judge.at_most("of unchanged domains: violations", kept.violations, 0)
        judge.at_most("of unchanged domains: bounced", kept.bounced, 0)
        before, after = stage.notes["streams"], stage.notes["streams after"]
        judge.that("streams of unchanged domains stay", before == after, f"{before} and {after}")
        ended = [str(road.last_error) for road in stage.components.values() if road.last_error]
        judge.that("the removed one is told host-gone", "host-gone" in ended, ", ".join(ended))
        judge.household(fds=False, written=False, books=False)

    return await course(
        33,
        "domains added and removed by SIGHUP",
        number,
        Scene(),
        come_and_go,
        judging,
        per_s=settings.per_s,
        seconds=10 * RELOAD_EVERY_S,
        say=say,
        prepare=prepare,
    )


def _component() -> Toml:
    return {"attach": "component", "secret": SECRET}


def _streams_of(rows: Sequence[dict[str, Any]], domain: str) -> list[tuple[str, int]]:
    return [(row["acceptor"], row["number"]) for row in rows if row["local"] == domain]


async def _reloaded(stage: Stage, domains: dict[str, Toml], without: tuple[str, ...]) -> None:
    """Write the configuration with these domains added, or without those, and say SIGHUP."""
    settings = stage.node.settings
    given = settings["domains"]
    assert isinstance(given, dict)
    kept = {name: value for name, value in given.items() if name not in without}
    stage.node.config_path.write_text(toml({**settings, "domains": {**kept, **domains}}))
    os.kill(stage.node.pid, signal.SIGHUP)
    await asyncio.sleep(APPLIED_S / 5)


async def certificates(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 37: the certificate of a domain expires, and is replaced, while streams run."""

    async def rotate(stage: Stage, seconds: float, say: Say) -> None:
        before = {(row["acceptor"], row["number"]) for row in await stage.node.streams()}
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds / 4)
        stage.authority.issue("montague0.lit", eku="both", not_after=soon)
        os.kill(stage.node.pid, signal.SIGHUP)
        say("a certificate that expires soon")
        await asyncio.sleep(seconds / 2)
        crt, _ = stage.authority.issue("montague0.lit", eku="both")
        os.kill(stage.node.pid, signal.SIGHUP)
        say("a new one")
        await asyncio.sleep(seconds / 4)
        served = await _served_serial(stage)
        stage.notes["new is served"] = float(served == _serial(crt.read_text()))
        after = {(row["acceptor"], row["number"]) for row in await stage.node.streams()}
        stage.notes["streams gone"] = len(before - after)

    def judging(judge: Judge, stage: Stage) -> None:
        judge.clean()
        judge.at_most("streams that ended", stage.notes["streams gone"], 0)
        judge.that("new streams get the new certificate", stage.notes["new is served"] == 1.0)
        restarts = stage.watch.log_count("process.ended")
        judge.at_most("processes that ended", restarts, 0)
        judge.household()

    return await course(
        37,
        "certificate expires and is rotated",
        number,
        Scene(),
        rotate,
        judging,
        per_s=settings.per_s / 2,
        seconds=settings.lasting(16),
        say=say,
        expected_errors=("certificate.expired", "certificates.expired"),
    )


def _serial(pem: str) -> int:
    return x509.load_pem_x509_certificates(pem.encode())[0].serial_number


async def _served_serial(stage: Stage) -> int:
    """Of the certificate that a new stream to the first domain is shown, by direct TLS."""
    crt = stage.authority.directory / "capulet0.lit.crt"
    context = client_context(str(crt), str(crt.with_suffix(".key")))
    return await asyncio.to_thread(_shown_serial, context, stage.node.direct_tls_port)


def _shown_serial(context: SSL.Context, port: int) -> int:
    with socket.create_connection((HOST, port), timeout=5) as wire:
        wire.settimeout(None)
        connection = SSL.Connection(context, wire)
        connection.set_connect_state()
        connection.set_tlsext_host_name(b"montague0.lit")
        connection.set_alpn_protos([b"xmpp-server"])
        connection.do_handshake()
        shown = connection.get_peer_certificate(as_cryptography=True)
        return int(shown.serial_number) if shown is not None else 0
