"""Two documents of one benchmark, figure by figure: better, worse, or within noise.

The verdict comes from the samples, the rounds of each run. A difference counts when it is at least
`LEAST_SHARE` of the earlier value and when rounds of the same program would be so far apart by
chance in at most `MOST_CHANCE` of all cases (the rank-sum test of Wilcoxon, Mann and Whitney, two
sided, exact for few rounds). With three rounds a side that means: no overlap at all. Fewer than
three rounds on a side decide nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from bench.report.model import Document, Figure

LEAST_SHARE: Final = 0.03
MOST_CHANCE: Final = 0.1
LEAST_ROUNDS: Final = 3
_EXACT_UP_TO: Final = 40

BETTER: Final = "better"
WORSE: Final = "worse"
NOISE: Final = "within noise"
UNDECIDED: Final = "too few rounds"


class NotComparable(ValueError):
    """The documents are of two benchmarks."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure in both documents. `chance` is None where nothing was decided by it."""

    before: Figure
    after: Figure
    ratio: float
    chance: float | None
    verdict: str


def compare(
    before: Document, after: Document, earlier: Sequence[Figure], later: Sequence[Figure]
) -> list[Comparison]:
    """Those figures that both have, in the order of the earlier. Raises NotComparable."""
    names = before.get("benchmark"), after.get("benchmark")
    if names[0] != names[1]:
        raise NotComparable(f"one document is of {names[0]}, the other of {names[1]}")
    by_name = {figure.name: figure for figure in later}
    return [
        judged(figure, by_name[figure.name])
        for figure in earlier
        if figure.name in by_name and figure.unit == by_name[figure.name].unit
    ]


def judged(before: Figure, after: Figure) -> Comparison:
    """The verdict on one figure."""
    ratio = after.value / before.value if before.value else math.nan
    if min(len(before.samples), len(after.samples)) < LEAST_ROUNDS or not math.isfinite(ratio):
        return Comparison(before, after, ratio, None, UNDECIDED)
    chance = chance_of(before.samples, after.samples)
    if chance > MOST_CHANCE + 1e-9 or abs(ratio - 1) < LEAST_SHARE:
        return Comparison(before, after, ratio, chance, NOISE)
    is_better = (ratio < 1) == before.lower_is_better
    return Comparison(before, after, ratio, chance, BETTER if is_better else WORSE)


def chance_of(one: Sequence[float], other: Sequence[float]) -> float:
    """How often two groups drawn from the same values differ at least so much in rank: 0 to 1."""
    ranks = _doubled_ranks([*one, *other])
    size = len(one)
    observed = sum(ranks[:size])
    middle = sum(ranks) * size / len(ranks)
    distance = abs(observed - middle)
    if len(ranks) > _EXACT_UP_TO:
        return _normal(ranks, size, distance)
    sums = _sums(ranks, size)
    far = sum(ways for total, ways in sums.items() if abs(total - middle) >= distance - 1e-9)
    return far / math.comb(len(ranks), size)


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each, so that the mean rank of equal values is whole."""
    ordered = sorted(values)
    first: dict[float, int] = {}
    count: dict[float, int] = {}
    for rank, value in enumerate(ordered, 1):
        first.setdefault(value, rank)
        count[value] = count.get(value, 0) + 1
    return [2 * first[value] + count[value] - 1 for value in values]


def _sums(ranks: Sequence[int], size: int) -> dict[int, int]:
    """How many choices of `size` ranks have each sum."""
    chosen: list[dict[int, int]] = [{0: 1}, *({} for _ in range(size))]
    for rank in ranks:
        for have in range(size, 0, -1):
            for total, ways in chosen[have - 1].items():
                chosen[have][total + rank] = chosen[have].get(total + rank, 0) + ways
    return chosen[size]


def _normal(ranks: Sequence[int], size: int, distance: float) -> float:
    """The same for many, by the normal distribution with the same spread, equal values included."""
    count = len(ranks)
    mean = sum(ranks) / count
    spread = sum((rank - mean) ** 2 for rank in ranks) / (count - 1)
    deviation = math.sqrt(spread * size * (count - size) / count)
    return 2 * (1 - NormalDist().cdf(distance / deviation)) if deviation else 1.0
