"""What an actor may do to the world it is in, and the outcomes that the owner records."""

from collections.abc import Collection
from typing import Final, Protocol

from tests.model.frames import Frame, LaneId, Mutant

HANDED: Final = "handed"
BOUNCED: Final = "bounced"
IN_DOUBT: Final = "bounced, in doubt"
GONE: Final = "went with its owner"


class Broken(AssertionError):
    """The protocol has broken its promise, or a bound of its own."""


class Network(Protocol):
    """The actors' side of `tests.model.world.World`."""

    mutant: Mutant | None

    @property
    def dead(self) -> Collection[str]:
        """All that died, whether others know it or not."""

    @property
    def acceptors(self) -> Collection[str]:
        """All that ever were."""

    def send(self, source: str, target: str, frame: Frame) -> None:
        """Onto the end of the link."""

    def open_streams(self, acceptor: str) -> list[int]:
        """Those that carry the pair."""

    def live_lease(self, acceptor: str) -> tuple[str, int] | None:
        """The worker that this acceptor now tells of its streams, and its generation."""

    def accepted(self, lane: LaneId, number: int) -> None:
        """A stanza was parsed: it needs an outcome."""

    def outcome(self, lane: LaneId, number: int, outcome: str) -> None:
        """The owner records it."""

    def written(self, lane: LaneId, number: int) -> None:
        """The stanza is with the kernel: the peer may read it."""

    def check_limit(self, lane: LaneId, epoch: int, limit: int) -> None:
        """The owner will send up to this number."""
