"""A lane as its owner keeps it: its numbers, and the runs whose outcome is not known.

Called by `owner`, which decides what becomes of them.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from router.wire.frames import StreamId
from router.wire.handled import Ticket
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts, cut


class Pace(Enum):
    """What the egress stream lets a lane do."""

    FREE = auto()
    SLOW = auto()
    """It is to wait, or has a credit; the peer reads, so who sends to it may be kept waiting."""
    STUCK = auto()
    """It is to wait, and the peer does not read: nobody is kept waiting for that."""


@dataclass(slots=True)
class Kept:
    """A run whose outcome is not known: sequence numbers `first` to `last`.

    `ticket` is to hear of it, where the sender counts on us (XEP-0198).
    """

    first: int
    last: int
    counts: Counts
    octets: bytes
    ticket: Ticket | None = None


@dataclass(slots=True)
class Lane:
    """One ordered domain pair on one ingress stream; `stream` is None for what we make ourselves.

    `took` is the highest number known to be in the egress stream's write queue. `sent` is the last
    sent to a worker in this epoch, `reached` the highest that ever was: what has to be sent again
    takes `sent` back. `done` is what was last reported as handed over. `credit_bytes` is what a
    SLOW lane may still send. `is_straight`: what follows goes straight to its egress stream;
    `after` is then what was sent there last, or taken.
    """

    number: int
    pair: DomainPair
    shard: int
    stream: int | None
    epoch: int = 1
    next: int = 1
    sent: int = 0
    reached: int = 0
    took: int = 0
    done: int = 0
    pace: Pace = Pace.FREE
    credit_bytes: int = 0
    is_straight: bool = False
    after: int = 0
    egress: StreamId | None = None
    kept: deque[Kept] = field(default_factory=deque)
    kept_bytes: int = 0
    kept_stanzas: int = 0
    ingress_open: bool = True
    suspect: int = 0
    """Up to here one stanza at a time is sent; 0 is the rule."""
    tried: int = 0

    def before(self) -> int:
        """The number before the first that is kept."""
        return self.kept[0].first - 1 if self.kept else self.next - 1

    def handed_in_part(self) -> list[Kept]:
        """The beginning of a run of which the peer has handled no more (XEP-0198), taken out."""
        if not (self.kept and self.kept[0].first <= self.done):
            return []
        self.split(self.kept[0].first, self.done)
        return [self.kept.popleft()]

    def split(self, first: int, last: int) -> None:
        """See to it that no kept run reaches over either end of `first` to `last`."""
        if any(run.first < first <= run.last or run.first <= last < run.last for run in self.kept):
            self.kept = deque(part for run in self.kept for part in _parts(run, first, last))

    def take_out(self, first: int, last: int) -> list[Kept]:
        """Remove and return the kept runs that lie within `first` to `last`."""
        out = [run for run in self.kept if first <= run.first and run.last <= last]
        if out:
            self.kept = deque(
                run for run in self.kept if not (first <= run.first and run.last <= last)
            )
        return out


def _parts(run: Kept, first: int, last: int) -> Iterator[Kept]:
    """The run before `first`, from there to `last`, and behind it; what is empty is left out."""
    if run.last < first or last < run.first or (first <= run.first and run.last <= last):
        yield run
        return
    parts: dict[int, Kept] = {}
    for number, stanza in enumerate(cut(run.octets), run.first):
        place = (number >= first) + (number > last)
        empty = Kept(number, number - 1, Counts(0, 0, 0), b"", run.ticket)
        part = parts.setdefault(place, empty)
        part.last = number
        part.counts += Counts.one(stanza.kind)
        part.octets += stanza.octets
    yield from parts.values()
