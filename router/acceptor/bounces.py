"""How many errors go back to a remote domain (reliability D4): a dead destination is no storm.

Beyond its share a domain's stanzas go unanswered, and are counted as unbounceable. Hosted domains
are answered always. Called by `ingress` for each error that it is about to make.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from router.acceptor.throttle import Bucket
from router.config import Config

MAX_DOMAINS: Final = 4096
"""Of more than these, the domain goes that was refused or answered the longest time ago."""

_BURST_S: Final = 4.0
"""After a silence, so many seconds' worth go at once."""


class Bounces:
    """The share of each remote domain in this acceptor. `clock` gives seconds."""

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self.reload(config)

    def reload(self, config: Config) -> None:
        """Another configuration says who is hosted, and how many errors others get."""
        self._hosted = config.hosts
        self._per_s = config.limits.bounces_per_s
        self._buckets.clear()

    def may_go_to(self, domain: str) -> bool:
        """Whether this domain gets one more error; if so, it is counted."""
        if not self._per_s or domain in self._hosted:
            return True
        now = self._clock()
        bucket = self._buckets.get(domain)
        if bucket is None:
            bucket = self._buckets[domain] = Bucket(self._per_s, self._per_s * _BURST_S, now)
            if len(self._buckets) > MAX_DOMAINS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(domain)
        return bucket.take_if_there(now)
