"""Two connections of one activated bytestream: what comes in on one goes out on the other.

Pure: it says what to do with the connections, `proxy` holds it, the acceptor does it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Action:
    """Base of what is to be done with one connection, by its number."""

    connection: int


@dataclass(frozen=True, slots=True)
class Write(Action):
    """Write these octets."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class EndWriting(Action):
    """Write no more, once all is written: the other side has ended (half-close)."""


@dataclass(frozen=True, slots=True)
class PauseReading(Action):
    """Read no more: the other side does not take it."""


@dataclass(frozen=True, slots=True)
class ResumeReading(Action):
    """Read on."""


@dataclass(frozen=True, slots=True)
class Disconnect(Action):
    """Close it once all is written."""


class Relay:
    """The pair: both ways until both have ended, or one is gone."""

    def __init__(self, first: int, second: int) -> None:
        self.is_over = False
        self._other = {first: second, second: first}
        self._ended: set[int] = set()

    def connections(self) -> tuple[int, ...]:
        """Both numbers."""
        return tuple(self._other)

    def received(self, connection: int, octets: bytes) -> list[Action]:
        """Octets came in on this connection."""
        return [] if self.is_over else [Write(self._other[connection], octets)]

    def ended(self, connection: int) -> list[Action]:
        """This connection will bring no more, but may still take (half-close)."""
        if self.is_over or connection in self._ended:
            return []
        self._ended.add(connection)
        if len(self._ended) < 2:
            return [EndWriting(self._other[connection])]
        self.is_over = True
        return [Disconnect(each) for each in self._other]

    def lost(self, connection: int) -> list[Action]:
        """This connection is gone, both ways."""
        if self.is_over:
            return []
        self.is_over = True
        return [Disconnect(self._other[connection])]

    def full(self, connection: int) -> list[Action]:
        """What is to be written on this connection piles up."""
        return [] if self.is_over else [PauseReading(self._other[connection])]

    def drained(self, connection: int) -> list[Action]:
        """It no longer does."""
        return [] if self.is_over else [ResumeReading(self._other[connection])]
