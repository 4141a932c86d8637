"""One whole node in this process: supervisor, signals, HTTP. Called by `causeway run`."""

import asyncio
import signal
from contextlib import ExitStack

import uvloop

from router.config import Config
from router.http.app import served
from router.log import logger
from router.supervisor.listeners import (
    ListenError,
    close_listeners,
    open_exclusive,
    open_listeners,
)
from router.supervisor.run_dir import RunDir, RunDirInUse
from router.supervisor.supervisor import Supervisor

log = logger(__name__)


class CannotStart(Exception):
    """An address, the run directory or a process is not to be had; the text says which and why."""


def run_node(config: Config) -> int:
    """Run until stopped by a signal; 0 when drained, 1 when processes cannot be kept alive.

    Raises CannotStart.
    """
    try:
        return uvloop.run(_serve(config))
    except (ListenError, RunDirInUse, OSError) as error:
        raise CannotStart(str(error)) from error


async def _serve(config: Config) -> int:
    with ExitStack() as stack:
        run_dir = RunDir.occupy(config)
        stack.callback(run_dir.vacate)
        listeners = open_listeners(config)
        stack.callback(close_listeners, listeners)
        http = stack.enter_context(open_exclusive("http", config.listen.http))
        supervisor = Supervisor(config, run_dir, listeners)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, supervisor.stop)
        loop.add_signal_handler(signal.SIGHUP, log.warning, "reload.not_available")
        async with served(supervisor, http, run_dir.admin_socket):
            return await supervisor.run()
