"""Dialback keys that peers sent us and that somebody else has to verify (XEP-0220 §2.1.2).

They belong to the acceptor that holds the inbound stream, with their deadlines; the pair's shard
says which connection to ask on. Called by the acceptor.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from router.acceptor.connection import Connection
from router.acceptor.throttle import Bucket
from router.config import Limits
from router.wire.frames import Frame, Verified, Verify
from router.wire.shard import shard_of
from router.xmpp.events import KeyReceived
from router.xmpp.pair import DomainPair
from router.xmpp.s2s import ServerStream

_REMEMBERED_S: Final = 60.0


class _NewDomains:
    """Sender domains one stream has had keys for lately. Each new one may mean DNS and a dial.

    One of the last minute costs nothing more: whoever verified its keys has a connection open. But
    all its keys wait for its turn.
    """

    def __init__(self, per_s: int, now: float) -> None:
        self._bucket = Bucket(per_s, per_s, now)
        self._seen: dict[str, tuple[float, float]] = {}  # when, and its turn; oldest first

    def wait_s(self, domain: str, now: float) -> float:
        """How long a key for this domain must wait its turn, in seconds."""
        while self._seen and next(iter(self._seen.values()))[0] <= now - _REMEMBERED_S:
            del self._seen[next(iter(self._seen))]
        if domain not in self._seen:
            self._seen[domain] = (now, now + self._bucket.take(1, now))
        return max(0.0, self._seen[domain][1] - now)


@dataclass(slots=True)
class _Pending:
    connection: Connection
    frame: Verify
    timer: asyncio.TimerHandle
    is_asked: bool = False


class Verifications:
    """Keys under verification, by request number. Each stream bounds its own (dialback.py).

    `judged` hears every verdict, before the peer does. `at_hand(question, otherwise)` has a key
    verified on a stream of this acceptor that is open, or calls `otherwise`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        to_shard: Callable[[int, Frame], None],
        judged: Callable[[Connection, DomainPair, str], None],
        at_hand: Callable[[Verify, Callable[[], None]], None],
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._to_shard = to_shard
        self._judged = judged
        self._at_hand = at_hand
        self._pending: dict[int, _Pending] = {}
        self._domains: dict[Connection, _NewDomains] = {}
        self._next = 1

    def reload(self, limits: Limits) -> None:
        """Other limits hold for keys that come from now on."""
        self._limits = limits

    def begin(self, connection: Connection, event: KeyReceived) -> None:
        """A key arrived: have it verified, soon where its stream brings many new domains.

        At once where nobody has to be dialled for it. That is looked for once the stream has proved
        something: a stranger's keys cost neither dials nor look-ups above the rate.
        """
        request, self._next = self._next, self._next + 1
        frame = Verify(request, event.pair, event.stream_id, event.key)
        timer = self._loop.call_later(
            self._limits.verification_timeout_s,
            self.verified,
            Verified(request, "remote-server-timeout"),
        )
        self._pending[request] = _Pending(connection, frame, timer)
        if connection.core.grants.proved():
            self._at_hand(frame, lambda: self._in_turn(request))
        else:
            self._in_turn(request)

    def _in_turn(self, request: int) -> None:
        pending = self._pending.get(request)
        if pending is None:
            return
        wait_s = self._wait_s(pending.connection, pending.frame.pair.sender)
        if wait_s:
            self._loop.call_later(wait_s, self._ask, request)
        else:
            self._ask(request)

    def _ask(self, request: int) -> None:
        pending = self._pending.get(request)
        if pending is not None:
            pending.is_asked = True
            self._to_shard(shard_of(*pending.frame.pair), pending.frame)

    def verified(self, frame: Verified) -> None:
        """The verdict is there: answer the initiating server."""
        pending = self._pending.pop(frame.request, None)
        if pending is None:
            return
        pending.timer.cancel()
        core, asked = pending.connection.core, pending.frame
        self._judged(pending.connection, asked.pair, frame.verdict)
        if isinstance(core, ServerStream) and pending.connection.end is None:
            pending.connection.act(
                core.answer_key(asked.pair, asked.stream_id, frame.verdict, self._loop.time())
            )

    def _wait_s(self, connection: Connection, domain: str) -> float:
        per_s, now = self._limits.verified_domains_per_s, self._loop.time()
        if not per_s:
            return 0.0
        lately = self._domains.get(connection)
        if lately is None:
            lately = self._domains[connection] = _NewDomains(per_s, now)
        return lately.wait_s(domain, now)

    def announcements(self, shards: frozenset[int]) -> Iterator[Frame]:
        """What the new owner of these shards must be asked again."""
        for pending in self._pending.values():
            if pending.is_asked and shard_of(*pending.frame.pair) in shards:
                yield pending.frame

    def stream_gone(self, connection: Connection) -> None:
        """The stream whose keys these were is closed."""
        self._domains.pop(connection, None)
        for request in [r for r, p in self._pending.items() if p.connection is connection]:
            self._pending.pop(request).timer.cancel()
