"""Streams of this acceptor that were lost and may be gone on with (XEP-0198 §5).

A lost stream is remembered for a while: what had come on it, for the peer to learn, and its outlet,
until the peer says how much it had got. Only then is it known to the stanza what did not arrive; if
it never does, that is in doubt, as without. Called by the acceptor.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from router.acceptor.connection import Connection
from router.wire.frames import DialFailed, Frame, Resume, ResumeAnswer
from router.xmpp.events import NotResumed, Resumed, ResumeEvent, ResumeRequested
from router.xmpp.pair import DomainPair
from router.xmpp.s2s import ServerStream

_REMEMBERED: Final = 1024
# A peer that is still there comes back at once; meanwhile nothing of these lanes goes out.
_ITS_TURN_S: Final = 5.0


@dataclass(slots=True, eq=False)
class _Lost:
    """One lost stream; `is_waiting`: its outlet has not been given back to the owners."""

    connection: Connection
    core: ServerStream
    is_waiting: bool
    timers: list[asyncio.TimerHandle]

    @property
    def pair(self) -> DomainPair:
        """The hosted domain and the remote one that it was opened between."""
        return DomainPair(self.core.local, self.core.remote)


@dataclass(slots=True, eq=False)
class _Asked:
    """A peer's question, and the other acceptors that have not answered it yet."""

    connection: Connection
    event: ResumeRequested
    acceptors: set[str]


class Resumptions:
    """`give_back` returns to their owners what an outlet did not get through; `dial` opens a
    stream for a pair. `alive` are the connections there are. Remembered are 1024 at most.
    The peer may come back to another acceptor than it left, which then asks all others.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        own_id: str,
        resume_s: float,
        *,
        to_shard: Callable[[int, Frame], None],
        to_acceptor: Callable[[str, Frame], None],
        alive: Callable[[], Iterable[Connection]],
        give_back: Callable[[Connection], None],
        dial: Callable[[DomainPair], None],
    ) -> None:
        self._loop = loop
        self._own_id = own_id
        self._resume_s = resume_s
        self._to_shard = to_shard
        self._to_acceptor = to_acceptor
        self._alive = alive
        self._give_back = give_back
        self._dial = dial
        self._lost: dict[str, _Lost] = {}
        self._others: frozenset[str] = frozenset()
        self._asked: dict[int, _Asked] = {}
        self._is_over = False

    # --- a stream is lost ---

    def lost(self, connection: Connection) -> None:
        """The socket is gone: remember the stream if it may be resumed, else give back."""
        core, end = connection.core, connection.end
        sm_id = core.management.sm_id if isinstance(core, ServerStream) else ""
        is_unfinished = end is not None and end.condition is None and end.abrupt
        if not isinstance(core, ServerStream) or not sm_id or not is_unfinished or self._is_over:
            self._give_back(connection)
            return
        if len(self._lost) >= _REMEMBERED:
            self._forget(next(iter(self._lost)))
        is_waiting = connection.outlet.unhandled() > 0
        lost = self._lost[sm_id] = _Lost(connection, core, is_waiting, [])
        lost.timers.append(self._loop.call_later(self._resume_s, self._forget, sm_id))
        if not is_waiting:
            self._give_back(connection)
        elif connection.direction == "out":
            self._dial(lost.pair)
        else:
            wait_s = min(_ITS_TURN_S, self._resume_s)
            lost.timers.append(self._loop.call_later(wait_s, self._give_up, lost))

    def waiting(self) -> list[Connection]:
        """Lost streams whose outlets still have lanes."""
        return [lost.connection for lost in self._lost.values() if lost.is_waiting]

    def find(self, number: int) -> Connection | None:
        """The lost stream of this number, if its outlet still has lanes."""
        return next((each for each in self.waiting() if each.number == number), None)

    # --- we open a stream ---

    def wanted(self, pair: DomainPair) -> tuple[str, int]:
        """The lost stream of ours that a new one for the pair is to go on with.

        Its SM-ID ("" for none), and how many stanzas had come on it.
        """
        for sm_id, lost in self._lost.items():
            if lost.pair == pair and lost.is_waiting and lost.connection.direction == "out":
                return sm_id, lost.core.management.total_received()
        return "", 0

    def told(self, shard: int, frame: Frame) -> None:
        """What the dialer tells the shards: when it fails, nothing is gone on with."""
        if isinstance(frame, DialFailed):
            for lost in list(self._lost.values()):
                if lost.pair == frame.pair and lost.connection.direction == "out":
                    self._give_up(lost)
        self._to_shard(shard, frame)

    # --- what the peers say ---

    def happened(self, connection: Connection, event: ResumeEvent) -> None:
        """A core reports, or asks."""
        if isinstance(event, ResumeRequested) and isinstance(connection.core, ServerStream):
            self._requested(connection, connection.core, event)
        elif isinstance(event, Resumed):
            self._settle(event.sm_id, event.received)
            self._forget(event.sm_id)
        elif isinstance(event, NotResumed):
            self._forget(event.sm_id)

    def _requested(
        self, connection: Connection, core: ServerStream, event: ResumeRequested
    ) -> None:
        pair = DomainPair(core.local, core.remote)
        total = self._resume(event.sm_id, pair, event.received)
        if total is not None or not self._others:
            connection.act(core.answer_resume(event.sm_id, total, event.received))
            return
        self._asked[connection.number] = _Asked(connection, event, set(self._others))
        for acceptor in self._others:
            ask = Resume(connection.number, event.sm_id, pair, event.received)
            self._to_acceptor(acceptor, ask)

    def _resume(self, sm_id: str, pair: DomainPair, received: int) -> int | None:
        """How many stanzas came on the former stream, which is over now; None: there is none.

        SMX-09: it must have been between the same two domains, and both have been proved anew.
        """
        former = self._former(sm_id, pair)
        if former is None:
            return None
        self._settle(sm_id, received)
        self._forget(sm_id)
        return former.management.total_received()

    def _former(self, sm_id: str, pair: DomainPair) -> ServerStream | None:
        """The stream of this id: lost, or one that only the peer has lost and that ends now."""
        if (lost := self._lost.get(sm_id)) is not None:
            is_theirs = lost.connection.direction == "in" and lost.pair == pair
            return lost.core if is_theirs else None
        for connection in self._alive() if sm_id else ():
            core = connection.core
            if (
                isinstance(core, ServerStream)
                and core.management.sm_id == sm_id
                and connection.direction == "in"
                and (core.local, core.remote) == pair
            ):
                self._lost[sm_id] = _Lost(connection, core, is_waiting=True, timers=[])
                connection.act(core.fail("conflict", "resumed on another connection"))
                connection.abort()
                return core
        return None

    # --- a former stream may have been another acceptor's ---

    def membership(self, acceptors: Iterable[str]) -> None:
        """These acceptors the node has."""
        self._others = frozenset(acceptors) - {self._own_id}
        for number, asked in list(self._asked.items()):
            for gone in asked.acceptors - self._others:
                self._answered(gone, ResumeAnswer(number, False, 0))

    def received(self, source: str, frame: Resume | ResumeAnswer) -> None:
        """Another acceptor asks, or answers."""
        if isinstance(frame, ResumeAnswer):
            self._answered(source, frame)
            return
        total = self._resume(frame.sm_id, frame.pair, frame.received)
        self._to_acceptor(source, ResumeAnswer(frame.request, total is not None, total or 0))

    def _answered(self, source: str, frame: ResumeAnswer) -> None:
        asked = self._asked.get(frame.request)
        if asked is None:
            return
        asked.acceptors.discard(source)
        if asked.acceptors and not frame.is_known:
            return
        del self._asked[frame.request]
        core, event = asked.connection.core, asked.event
        if isinstance(core, ServerStream) and asked.connection.end is None:
            total = frame.stanzas if frame.is_known else None
            asked.connection.act(core.answer_resume(event.sm_id, total, event.received))

    def _settle(self, sm_id: str, received: int) -> None:
        """What the peer had of the lost stream is handed over, and the rest has not arrived."""
        lost = self._lost.get(sm_id)
        if lost is not None and lost.is_waiting:
            total = lost.core.management.unwrapped(received)
            if total is not None:
                lost.connection.outlet.settled(total)

    # --- ends ---

    def _give_up(self, lost: _Lost) -> None:
        if lost.is_waiting:
            lost.is_waiting = False
            self._give_back(lost.connection)

    def _forget(self, sm_id: str) -> None:
        lost = self._lost.pop(sm_id, None)
        if lost is not None:
            for timer in lost.timers:
                timer.cancel()
            self._give_up(lost)

    def close(self) -> None:
        """Nothing is resumed any more: what waits goes back."""
        self._is_over = True
        for sm_id in list(self._lost):
            self._forget(sm_id)
