"""Stanzas for hosted domains that nobody serves just now: they wait a while for it to come back.

Owns when each domain left and what waits for it, per pair within the bounds of any backlog. What
has waited too long, `routing` refuses (RTE-11); attachments themselves are `hosted`'s.
"""

from collections.abc import Collection, Iterable
from typing import Final

from router.config import Limits
from router.wire.frames import Data
from router.wire.shard import shard_of
from router.xmpp.pair import DomainPair
from workers.backlog import Backlog, Queued, Room

_LONG_AGO: Final = float("-inf")


class Grace:
    """The absences of the `hosted` domains. `limits.component_grace_s` is how long one may last."""

    def __init__(self, hosted: frozenset[str], limits: Limits, room: Room) -> None:
        self._limits = limits
        self._room = room
        self._away_since = dict.fromkeys(hosted, _LONG_AGO)
        self._waiting: dict[DomainPair, Backlog] = {}
        self._has_begun = False

    def reload(self, hosted: frozenset[str], limits: Limits, now: float) -> list[Queued]:
        """These are hosted now; what waits for others. New ones may be on their way."""
        self._limits = limits
        since = self._away_since
        self._away_since = {domain: since.get(domain, now) for domain in hosted}
        return self._take([pair for pair in self._waiting if pair.target not in hosted])

    def begin(self, now: float) -> None:
        """The worker has begun: what is not attached may still be on its way. Once only.

        After a node's start remote servers are often faster than components.
        """
        if not self._has_begun:
            self._has_begun = True
            self._away_since = dict.fromkeys(self._away_since, now)

    def left(self, domain: str, now: float) -> None:
        """The domain was served until now."""
        self._away_since[domain] = now

    def end(self) -> None:
        """Nobody comes back any more: everything has waited long enough."""
        self._has_begun = True
        self._away_since = dict.fromkeys(self._away_since, _LONG_AGO)

    def is_over(self, domain: str, now: float) -> bool:
        """Whether stanzas for the domain, which is away, are refused at once."""
        return self._until(domain) <= now

    def wait(self, source: str, data: Data, now: float) -> bool:
        """Keep the run until its target is back; False, and nothing changes, without room."""
        backlog = self._waiting.get(data.pair) or Backlog(self._limits, self._room)
        if not backlog.append(source, data, now):
            return False
        self._waiting[data.pair] = backlog
        return True

    def take(self, domain: str) -> list[Queued]:
        """The domain is back: what waits for it, each pair in order."""
        return self._take([pair for pair in self._waiting if pair.target == domain])

    def take_expired(self, now: float) -> list[Queued]:
        """What waits for domains that have stayed away too long."""
        return self._take([p for p in self._waiting if self.is_over(p.target, now)])

    def expires_s(self) -> float | None:
        """When something has waited too long; None while nothing waits."""
        return min((self._until(pair.target) for pair in self._waiting), default=None)

    def discard(self, pair: DomainPair, source: str, lane: int) -> None:
        """Drop the runs of a lane whose owner sends them again, in a new epoch."""
        if (backlog := self._waiting.get(pair)) is not None:
            backlog.discard(source, lane)
            if not backlog:
                del self._waiting[pair]

    def shards_lost(self, shards: Collection[int]) -> None:
        """Forget their pairs; owners send the runs to the next worker."""
        self._take([pair for pair in self._waiting if shard_of(*pair) in shards])

    def _take(self, pairs: Iterable[DomainPair]) -> list[Queued]:
        return [queued for pair in pairs for queued in self._waiting.pop(pair).take_all()]

    def _until(self, domain: str) -> float:
        return self._away_since[domain] + self._limits.component_grace_s
