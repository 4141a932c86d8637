"""`python -m workers`: one routing worker, started by the supervisor with a snapshot of the config.

Exit codes: 0 asked to end, 1 cannot serve, 2 wrong arguments, 70 a fault of its own.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import uvloop

from router import affinity, collector
from router.config import Config, read_snapshot
from router.log import configure, logger
from workers import failpoints
from workers.process import Worker

log = logger(__name__)

_CRASHED: Final = 70  # EX_SOFTWARE of sysexits.h


def main() -> int:
    """Run until told to end."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the supervisor's snapshot")
    parser.add_argument("--slot", type=int, required=True)
    parser.add_argument("--incarnation", type=int, required=True)
    parser.add_argument("--control", type=Path, required=True, help="the supervisor's socket")
    arguments = parser.parse_args()
    worker_id = f"w{arguments.slot}.{arguments.incarnation}"
    configure(worker_id)
    try:
        config = read_snapshot(arguments.config)
        configure(worker_id, config.log.level, config.secrets())
        if config.processes.pin:
            affinity.pin(arguments.slot)
        collector.settle()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(worker_id, config, arguments.config, arguments.control))
    except (OSError, ValueError) as error:
        log.critical("worker.cannot_start", reason=str(error))
        return 1


def _crash(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A fault of ours: end at once, before anything that follows is routed as if it were well.

    Acceptors send again what nobody has taken, to another worker, and find out what it was.
    """
    error = context.get("exception")
    log.critical("worker.crashed", reason=str(context.get("message", "")), exc_info=error)
    logging.shutdown()
    os._exit(_CRASHED)


async def _serve(worker_id: str, config: Config, snapshot: Path, control_socket: Path) -> int:
    worker = _worker(worker_id, config)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_crash)
    loop.add_signal_handler(signal.SIGTERM, worker.leave)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C is for the supervisor
    return await worker.run(control_socket, snapshot)


def _worker(worker_id: str, config: Config) -> Worker:
    where = failpoints.directory()
    if where is None:
        return Worker(worker_id, config)
    return failpoints.FailingWorker(worker_id, config, where)


if __name__ == "__main__":
    sys.exit(main())
