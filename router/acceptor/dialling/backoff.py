"""Places that failed, and how long they are left alone (RFC 6120 §3.3): jittered, doubling.

A place is whatever failed: an address, or a domain. Owns no timer; the dialer asks before it tries,
of servers behind the router apart from all others.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from random import Random
from typing import Final, Generic, TypeVar

from router.config import Config

FREE: Final = 5
FIRST_S: Final = 1.0
PLACES: Final = 4096
BEHIND_US_S: Final = 1.0
"""A server behind the router is ours, and near: it is not left alone for longer."""

Why = TypeVar("Why")


@dataclass(slots=True)
class _Failures(Generic[Why]):
    count: int
    until_s: float
    why: Why


class Backoff(Generic[Why]):
    """What failed and why. The first few failures in a row cost nothing: servers do restart.

    The next ones keep a place closed for 1 s, 2 s, 4 s and so on to `longest_s`, each time less a
    random part of up to a half. `clock` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float], random: Random, longest_s: float) -> None:
        self._clock = clock
        self._random = random
        self._longest_s = longest_s
        self._failed: OrderedDict[Hashable, _Failures[Why]] = OrderedDict()

    def failed(self, place: Hashable, why: Why) -> None:
        """The place has failed, once more."""
        before = self._failed.pop(place, None)
        count = before.count + 1 if before is not None else 1
        doubled = min(count - FREE - 1, 32)
        closed_s = min(FIRST_S * 2.0**doubled, self._longest_s) if doubled >= 0 else 0.0
        closed_s *= self._random.uniform(0.5, 1.0)
        self._failed[place] = _Failures(count, self._clock() + closed_s, why)
        if len(self._failed) > PLACES:
            self._failed.popitem(last=False)

    def succeeded(self, place: Hashable) -> None:
        """The place works, or has just spoken to us."""
        self._failed.pop(place, None)

    def closed(self, place: Hashable) -> tuple[Why, float] | None:
        """Why the place is left alone, and for how many seconds more; None when it may be tried."""
        failures = self._failed.get(place)
        if failures is None:
            return None
        left_s = failures.until_s - self._clock()
        return (failures.why, left_s) if left_s > 0 else None


class Backoffs(Generic[Why]):
    """One for remote servers, by `dial.backoff_max_s`, and one for those behind the router."""

    def __init__(self, clock: Callable[[], float], random: Random, config: Config) -> None:
        self._outside = Backoff[Why](clock, random, config.dial.backoff_max_s)
        self._inside = Backoff[Why](clock, random, min(config.dial.backoff_max_s, BEHIND_US_S))
        self.reload(config)

    def reload(self, config: Config) -> None:
        """Another configuration says which servers are behind the router."""
        self._servers = config.servers

    def of(self, domain: str) -> Backoff[Why]:
        """The one for dials to this domain."""
        return self._inside if domain in self._servers else self._outside
