"""Times of many stanzas in a few numbers: exact quantiles, and a histogram that can be added up.

The buckets are fixed, eight to an octave (9 % wide), so histograms of several rounds add up and a
quantile of all of them can be read to that precision. Called by `course` and `page`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SHARES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
PER_OCTAVE: Final = 8


@dataclass(frozen=True, slots=True)
class Distribution:
    """Microseconds. `quantiles_us` by the names of `SHARES`; empty when there was nothing."""

    count: int
    quantiles_us: dict[str, float]
    histogram: dict[int, int]
    """How many by bucket; bucket b holds from 2**(b/8) up to 2**((b+1)/8) microseconds."""

    @classmethod
    def of(cls, times_us: Sequence[float]) -> "Distribution":
        """Of all of these."""
        ordered = sorted(times_us)
        quantiles_us = {
            name: round(quantile(ordered, share), 1) for name, share in SHARES.items() if ordered
        }
        return cls(len(ordered), quantiles_us, dict(Counter(map(bucket, ordered))))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The least of these ascending values that at least this share of them do not exceed.

    Raises ValueError when there are none.
    """
    if not ordered:
        raise ValueError("nothing has no quantiles")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def bucket(time_us: float) -> int:
    """Where it is counted; what is below 1 µs is in bucket 0."""
    return max(0, math.floor(math.log2(time_us) * PER_OCTAVE)) if time_us > 0 else 0


def added(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """All of them as one, buckets ascending."""
    total: Counter[int] = Counter()
    for histogram in histograms:
        total.update(histogram)
    return dict(sorted(total.items()))


def quantile_of(histogram: Mapping[int, int], share: float) -> float:
    """As `quantile`, read from a histogram: the upper bound of its bucket, in microseconds."""
    wanted = max(1, math.ceil(share * sum(histogram.values())))
    seen = 0
    for number, count in sorted(histogram.items()):
        seen += count
        if seen >= wanted:
            return float(2 ** ((number + 1) / PER_OCTAVE))
    raise ValueError("nothing has no quantiles")
