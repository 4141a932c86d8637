"""One whole node in this process: supervisor, signals, HTTP. Called by `causeway run`."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import uvloop

from router.budget import budget_bytes, too_much
from router.config import Config, read_snapshot
from router.http.app import served
from router.log import logger
from router.supervisor import notify
from router.supervisor.activation import activated
from router.supervisor.adoption import Orphan, gather, slotted
from router.supervisor.lease import BadLease, Lease, read_lease
from router.supervisor.listeners import (
    Listener,
    ListenError,
    close_listeners,
    open_exclusive,
    open_listeners,
    resume_listeners,
)
from router.supervisor.memory_limit import memory_limit_bytes
from router.supervisor.reload import change, log_what_waits, possible
from router.supervisor.run_dir import RunDir, RunDirInUse
from router.supervisor.supervisor import SUCCEEDED, Supervisor

log = logger(__name__)

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Read = Callable[[], Config | Sequence[str]]
"""The configuration as it is in the file now, or all that is wrong with it."""


class CannotStart(Exception):
    """An address, the run directory or a process is not to be had; the text says which and why."""


@dataclass(frozen=True, slots=True)
class _Start:
    """What a supervisor starts with, found or made."""

    config: Config
    listeners: tuple[Listener, ...]
    orphans: list[Orphan]
    lease: Lease | None


def run_node(config: Config, read: Read) -> int:
    """Run until stopped by a signal; 0 when drained, 1 when processes cannot be kept alive.

    Does not return when another supervisor is to take over: this process becomes it. Raises
    CannotStart.
    """
    try:
        code = uvloop.run(_serve(config, read))
    except (ListenError, RunDirInUse, BadLease, OSError, ValueError) as error:
        raise CannotStart(str(error)) from error
    if code == SUCCEEDED:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # until the new program has handlers
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return code


async def _serve(config: Config, read: Read) -> int:
    run_dir = RunDir.occupy(config.processes.run_dir)
    lives_on = run_dir.has_orphans
    try:
        with ExitStack() as stack:
            start = await (_resumed if run_dir.has_orphans else _fresh)(config, run_dir)
            stack.callback(close_listeners, start.listeners)
            http = stack.enter_context(open_exclusive("http", start.config.listen.http))
            run_dir.publish(start.config)
            lives_on = False
            code = await _supervise(start, run_dir, http, read)
            lives_on = code == SUCCEEDED
            return code
    finally:
        if lives_on:
            run_dir.leave()
        else:
            run_dir.vacate()


async def _fresh(config: Config, run_dir: RunDir) -> _Start:
    """Nobody is here: open what the configuration says, or take what the service manager opened."""
    _check_memory(config)
    passed = activated(os.environ, os.getpid())
    for kind in passed:
        log.info("listen.activated", kind=kind)
    return _Start(config, open_listeners(config, passed), [], read_lease(run_dir.lease))


def _check_memory(config: Config) -> None:
    """Whether all the limits allow can be had. Raises CannotStart."""
    limit_bytes = memory_limit_bytes()
    log.info("memory.budget", octets=budget_bytes(config), limit=limit_bytes)
    if limit_bytes is not None and (refusal := too_much(config, limit_bytes)):
        raise CannotStart(refusal)


async def _resumed(config: Config, run_dir: RunDir) -> _Start:
    """Processes of an earlier supervisor serve here: go on with them, and with their sockets."""
    activated(os.environ, os.getpid())  # they have them already
    lease = read_lease(run_dir.lease)
    if lease is None:
        raise CannotStart(f"processes live on in {run_dir.path}, and there is no lease file")
    running = read_snapshot(run_dir.snapshot)
    orphans = await gather(run_dir.control_socket)
    listeners = resume_listeners(slotted(orphans), running.processes.acceptors)
    log_what_waits(change(running, config))
    return _Start(possible(running, config), listeners, orphans, lease)


async def _supervise(start: _Start, run_dir: RunDir, http: socket.socket, read: Read) -> int:
    supervisor = Supervisor(
        start.config,
        run_dir,
        start.listeners,
        orphans=start.orphans,
        lease=start.lease,
        read=read,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    interval_s = notify.watchdog_s(os.environ, os.getpid())
    beats = loop.create_task(notify.keep_alive(interval_s)) if interval_s else None
    try:
        async with served(supervisor, http, run_dir.admin_socket):
            return await supervisor.run()
    finally:
        if beats is not None:
            beats.cancel()
