"""Stanzas as fast as they are taken: from many ends in turn, a bounded number under way.

Called by `measure` and by `bench.express`.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.remote import Load, Tally

WINDOW_BYTES: Final = 12 << 20
"""What may be under way in all: no server is measured by how it hoards, or by when it bounces."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where one domain pair's stanzas come from: an end that sends this stanza again and again."""

    end: Load
    stanza: bytes


def burst_of(burst_bytes: int, stanza_bytes: int) -> int:
    """Stanzas that are written at once.

    The same for any number of pairs: fewer at once would make shorter reads, and the cost of a read
    would be taken for that of a pair. The window lets so many pairs at a time have a burst.
    """
    return max(1, burst_bytes // stanza_bytes)


async def flow(
    sources: Sequence[Source],
    each: int,
    burst_bytes: int,
    tally: Tally,
    window_bytes: int = WINDOW_BYTES,
) -> None:
    """Send `each` stanzas of every source, in turn, so many octets at a time.

    An end that its peer keeps waiting is passed over until more has arrived at `tally`. Returns
    once all is written. Raises ConnectionError when a connection ends.
    """
    size = len(sources[0].stanza)
    burst = burst_of(burst_bytes, size)
    window = max(burst, window_bytes // size)
    chunks = {source.stanza: source.stanza * burst for source in sources}
    waiting = deque((source, each) for source in sources)
    sent = passed_over = 0
    while waiting:
        source, left = waiting.popleft()
        count = min(left, burst)
        if not source.end.may_write or sent + count - tally.arrived > window:
            waiting.append((source, left))
            passed_over += 1
            if passed_over >= len(waiting):
                passed_over = 0
                await _until_moved(tally)
            continue
        passed_over = 0
        source.end.write(chunks[source.stanza] if count == burst else source.stanza * count)
        sent += count
        if left > count:
            waiting.append((source, left - count))
        await asyncio.sleep(0)


async def _until_moved(tally: Tally) -> None:
    if tally.complete.is_set():
        raise ConnectionError(f"a connection ended after {tally.arrived} stanzas")
    await tally.moved()


class Answers:
    """One stanza back for each that arrives, to the pairs in turn, `burst_bytes` to each.

    To whom is not read from what arrived, which would cost the generator more than counting does.
    """

    def __init__(self, sources: Sequence[Source], burst_bytes: int) -> None:
        self._sources = sources
        self._burst = burst_of(burst_bytes, len(sources[0].stanza))
        self._at = 0
        self._left = self._burst

    def __call__(self, count: int) -> None:
        """So many have arrived."""
        while count > 0:
            source = self._sources[self._at]
            now = min(count, self._left)
            source.end.write(source.stanza * now)
            count -= now
            self._left -= now
            if not self._left:
                self._left = self._burst
                self._at = (self._at + 1) % len(self._sources)
