"""`python -m workers`: one routing worker, started by the supervisor with a snapshot of the config.

Exit codes: 0 asked to end, 1 cannot serve, 2 wrong arguments.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from router import affinity
from router.config import Config, read_snapshot
from router.log import configure, logger
from workers.process import Worker

log = logger(__name__)


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
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(worker_id, config, arguments.control))
    except (OSError, ValueError) as error:
        log.critical("worker.cannot_start", reason=str(error))
        return 1


async def _serve(worker_id: str, config: Config, control_socket: Path) -> int:
    worker = Worker(worker_id, config)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, worker.stop)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C is for the supervisor
    return await worker.run(control_socket)


if __name__ == "__main__":
    sys.exit(main())
