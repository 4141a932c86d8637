"""Where the processes of a node find each other: paths in the run directory."""

from pathlib import Path
from typing import Final

CONTROL_SOCKET: Final = "control.sock"
BUS_SUFFIX: Final = ".bus"


def bus_endpoint(run_dir: Path, acceptor: str) -> str:
    """The ZeroMQ endpoint that the acceptor with this id ("a0.3") binds.

    The id holds the incarnation, so no two acceptors ever share an endpoint.
    """
    return f"ipc://{run_dir / acceptor}{BUS_SUFFIX}"
