"""What one managed stream is told of its stanzas: how many have an outcome, in order of arrival.

That number is the `h` of XEP-0198 (SMX-05): a stanza counts when what became of it is known, and
all before it count, whatever lanes they went by. Pure; an acceptor has one for each stream whose
peer counts on us, and a `Ticket` with each run of it that is kept.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

_AGE_S: Final = 10.0


class Taker(Protocol):
    """A lane, as far as it matters here: the highest number that an egress stream has taken."""

    took: int


@dataclass(slots=True, eq=False)
class Ticket:
    """One run that arrived: `stanzas`, of which `open` have no outcome yet.

    `last` is the number of its last stanza in the lane, None where it went by none.
    """

    handled: "Handled"
    stanzas: int
    open: int
    at_s: float
    lane: Taker | None
    last: int

    def resolved(self, stanzas: int) -> None:
        """So many more of them have an outcome."""
        self.open -= stanzas
        if not self.open:
            self.handled.settle()


class Handled:
    """The runs of one stream, in order of arrival; `total` stanzas of its beginning are handled."""

    def __init__(self) -> None:
        self.total = 0
        self._waiting: deque[Ticket] = deque()

    def arrived(self, stanzas: int, now: float, lane: Taker | None = None, last: int = 0) -> Ticket:
        """A run has come; its ticket is to hear of every outcome. `now` in seconds."""
        ticket = Ticket(self, stanzas, stanzas, now, lane, last)
        self._waiting.append(ticket)
        return ticket

    def settle(self) -> None:
        """Count what is at the beginning and has an outcome."""
        waiting = self._waiting
        while waiting and not waiting[0].open:
            self.total += waiting.popleft().stanzas

    def is_waiting(self) -> bool:
        """Whether anything that arrived is not counted yet."""
        return bool(self._waiting)

    def aged(self, now: float) -> None:
        """Count also what is older than 10 s once an egress stream has taken it.

        A peer that does not read for long keeps the outcome open for as long, and a sender must not
        have to keep for all that time what a second process of ours holds.
        """
        waiting = self._waiting
        while waiting and (not waiting[0].open or _may_count(waiting[0], now - _AGE_S)):
            self.total += waiting.popleft().stanzas


def _may_count(ticket: Ticket, since_s: float) -> bool:
    lane = ticket.lane
    return lane is not None and ticket.at_s <= since_s and lane.took >= ticket.last
