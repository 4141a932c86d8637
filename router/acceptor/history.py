"""What happened lately between each local and each remote domain, to answer "why is it down?".

In memory and bounded: a note is one line of `causeway explain`, no log. The dialer and the witness
note what they know; nobody decides anything by it.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, Literal

from router.log import redacted

MAX_PAIRS: Final = 1024
"""Of more than these, the pair goes of which nothing was noted for the longest time."""
MAX_NOTES: Final = 32
MAX_TEXT: Final = 256

What = Literal[
    "authorised",
    "backoff",
    "certificate",
    "chosen",
    "closed",
    "connect",
    "dial_failed",
    "dns",
    "downgraded",
    "features",
    "key",
    "refused",
    "tls",
    "verified",
]
"""Every kind of note; `router.cli.time_line` has words for each."""

Detail = str | int | float | bool | None


@dataclass(slots=True)
class _Note:
    at: float
    last_at: float
    times: int
    what: What
    detail: dict[str, Detail]


_Pairs = OrderedDict[tuple[str, str], deque[_Note]]


class History:
    """The notes of one acceptor. `wall` gives seconds since the epoch.

    Whoever connects may call itself what it likes. What it does before it has proved anything is
    kept apart, so that strangers can drive out the notes on strangers alone.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._pairs: _Pairs = OrderedDict()
        self._strangers: _Pairs = OrderedDict()

    def note(self, local: str, remote: str, what: What, **detail: Detail) -> None:
        """Keep that it happened now; long texts are cut. Without both domains nothing is kept.

        What happens again, with no stream in between, is one note. A float is a measurement: it
        makes no difference, and the last one stands.
        """
        self._keep(self._pairs, (local, remote), what, detail)

    def note_stranger(self, local: str, remote: str, what: What, **detail: Detail) -> None:
        """As `note`, of a peer that connected and has not proved to be `remote`."""
        self._keep(self._strangers, (local, remote), what, detail)

    def _keep(
        self, pairs: _Pairs, pair: tuple[str, str], what: What, detail: dict[str, Detail]
    ) -> None:
        if not all(pair):
            return
        notes = pairs.get(pair)
        if notes is None:
            notes = pairs[pair] = deque(maxlen=MAX_NOTES)
            if len(pairs) > MAX_PAIRS:
                pairs.popitem(last=False)
        pairs.move_to_end(pair)
        now, detail = self._wall(), _cut(detail)
        for known in reversed(notes):
            if known.what == what and _same(known.detail, detail):
                known.last_at, known.detail = now, detail
                known.times += 1
                return
            if "stream" in known.detail:
                break
        notes.append(_Note(now, now, 1, what, detail))

    def rows(self, local: str, remote: str) -> list[dict[str, Any]]:
        """The notes on the two, oldest first: `at` and `last_at` in seconds since the epoch, how
        many `times`, `what`, and the details."""
        rows: list[dict[str, Any]] = [
            {**n.detail, "at": n.at, "last_at": n.last_at, "times": n.times, "what": n.what}
            for pairs in (self._pairs, self._strangers)
            for n in pairs.get((local, remote), ())
        ]
        return sorted(rows, key=itemgetter("at"))


def _same(one: dict[str, Detail], other: dict[str, Detail]) -> bool:
    return one.keys() == other.keys() and all(
        value == other[key] or (isinstance(value, float) and isinstance(other[key], float))
        for key, value in one.items()
    )


def _cut(detail: dict[str, Detail]) -> dict[str, Detail]:
    return {
        key: redacted(value)[:MAX_TEXT] if isinstance(value, str) else value
        for key, value in detail.items()
    }
