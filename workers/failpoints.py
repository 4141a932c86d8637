"""Test hook: a worker that dies exactly at a named step of the protocol, or of a poisonous stanza.

For `causeway bench faults`. A worker is one of these only when the environment variable
CAUSEWAY_FAILPOINTS names a directory that belongs to this user and is closed to all others; without
it the process runs `Worker` itself, and nothing here costs anything. Called by `__main__`.

In that directory, the file `arm` says "STEP WORKER COUNT PAUSE_MS": the worker of this id, or any
for "*", when it comes to the step for the COUNT-th time, takes the file away and dies by SIGKILL,
PAUSE_MS later so that the bus can carry what has been sent. The file `poison` holds octets, read
once at the start: a run of stanzas with them in it makes the worker that gets it exit with 70.
"""

import os
import signal
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.config import Config
from router.log import logger
from router.wire.codec import BadFrame, decode
from router.wire.control import Membership
from router.wire.frames import Announced, Data, Dial, Forward, Frame, Reject
from workers.outbox import Send
from workers.process import Worker

log = logger(__name__)

VARIABLE: Final = "CAUSEWAY_FAILPOINTS"
ARM: Final = "arm"
POISON: Final = "poison"
POISONED: Final = 70
ANY: Final = "*"
STEPS: Final = (
    "membership",  # told who is here and who owns what; nothing said to anybody yet
    "joined",  # Joined has been sent to every acceptor
    "announced",  # an acceptor has told all it had to; not acted on yet
    "received",  # a run of stanzas is here; no decision yet
    "routed",  # its stream is chosen and its epoch bound; nothing sent yet
    "half",  # of several forwards that leave together the first half is sent
    "forwarded",  # all of them are sent
    "reject",  # a run is to be refused; its owner does not know yet
    "dial",  # a stream is to be opened; no acceptor knows yet
)


@dataclass(frozen=True, slots=True)
class Armed:
    """What the file `arm` asks for."""

    step: str
    worker: str
    count: int
    pause_s: float

    @classmethod
    def parse(cls, text: str) -> "Armed":
        """Raises ValueError for anything else."""
        step, worker, count, pause_ms = text.split()
        if step not in STEPS:
            raise ValueError(f"no step {step!r}")
        return cls(step, worker, int(count), float(pause_ms) / 1000)

    def written(self) -> str:
        """The inverse of `parse`."""
        return f"{self.step} {self.worker} {self.count} {self.pause_s * 1000:g}"


def directory() -> Path | None:
    """Where the hook is asked for; None when it is not.

    Raises ValueError for a directory that others could write to: they could end our processes.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ValueError(f"{VARIABLE}: {path} is no directory of ours alone (mode 0700)")
    return path


class FailingWorker(Worker):
    """A worker with the hook."""

    def __init__(self, worker_id: str, config: Config, where: Path) -> None:
        super().__init__(worker_id, config)
        self._where = where
        self._hits: dict[Armed, int] = {}
        self._poison = b""
        with suppress(FileNotFoundError):
            self._poison = (where / POISON).read_bytes()
        log.warning("failpoints.on", directory=str(where))

    def _membership(self, message: Membership) -> None:
        self._reached("membership")
        super()._membership(message)
        self._reached("joined")

    def _received(self, acceptor: str, parts: list[bytes]) -> None:
        with suppress(BadFrame):
            self._look_at(decode(parts))
        super()._received(acceptor, parts)

    def _look_at(self, frame: Frame) -> None:
        if isinstance(frame, Announced):
            self._reached("announced")
        elif isinstance(frame, Data):
            if self._poison and self._poison in frame.octets:
                os._exit(POISONED)
            self._reached("received")

    def _send_all(self, sends: Iterable[Send]) -> None:
        whole = list(sends)
        kinds = {type(each.frame) for each in whole}
        for kind, step in ((Reject, "reject"), (Dial, "dial"), (Forward, "routed")):
            if kind in kinds:
                self._reached(step)
        middle = len(whole) // 2
        super()._send_all(whole[:middle])
        if middle and Forward in kinds:
            self._reached("half")
        super()._send_all(whole[middle:])
        if Forward in kinds:
            self._reached("forwarded")

    def _reached(self, step: str) -> None:
        try:
            armed = Armed.parse((self._where / ARM).read_text())
        except (FileNotFoundError, ValueError):
            return
        if armed.step != step or armed.worker not in (ANY, self._id):
            return
        self._hits[armed] = self._hits.get(armed, 0) + 1
        if self._hits[armed] >= armed.count:
            with suppress(FileNotFoundError):
                (self._where / ARM).unlink()
            time.sleep(armed.pause_s)
            os.kill(os.getpid(), signal.SIGKILL)
