"""Streams that we open: find the target, connect, and see the stream through to its grant.

One dial per domain pair at a time; several pairs may end up on one stream (`sharing`). Owns the
dials by pair and the keys that wait to be verified on them. What the shard wants to know goes out
as frames.
"""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from random import Random

import structlog

from router.acceptor.connection import Connection
from router.acceptor.dialling import attempts
from router.acceptor.dialling.addresses import connect
from router.acceptor.dialling.attempts import AUTHORISED, Approach, Outcome, refusal, unreachable
from router.acceptor.dialling.backoff import Backoff
from router.acceptor.dialling.dns import Target, Unresolvable
from router.acceptor.dialling.findings import Findings
from router.acceptor.dialling.lines import Dial, Line, UnderWay
from router.acceptor.dialling.places import Places
from router.acceptor.dialling.sharing import Sharing
from router.acceptor.history import History
from router.config import Config
from router.wire.frames import DialFailed, Dialling, Frame, Granted, Verified, VerifyKey
from router.wire.shard import shard_of
from router.xmpp.errors import StanzaError
from router.xmpp.events import KeyAnswered, PairRefused
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.s2s import ServerStream

log = structlog.get_logger()

_VERIFY_IDLE_S = 30.0
_CONNECT_S = 10.0  # per target, all its addresses together
_WAYS = 3  # connections to one target, each in another way


class Dialer:
    """All streams this acceptor has opened or is opening.

    `new_connection(pair, target, approach)` makes the connection and its core; `to_shard` and
    `to_acceptor` send frames.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: Config,
        places: Places,
        sharing: Sharing,
        findings: Findings,
        history: History,
        *,
        new_connection: Callable[[DomainPair, Target, Approach], Connection],
        to_shard: Callable[[int, Frame], None],
        to_acceptor: Callable[[str, Frame], None],
    ) -> None:
        self._loop = loop
        self._config = config
        self._places = places
        self._sharing = sharing
        self._findings = findings
        self._history = history
        self._new_connection = new_connection
        self._to_shard = to_shard
        self._to_acceptor = to_acceptor
        self._backoff: Backoff[Outcome] = Backoff(loop.time, Random(), config.dial.backoff_max_s)
        self._dials: dict[DomainPair, Dial] = {}
        self._begun = count()
        self._under_way = UnderWay()
        self._toward: dict[str, list[Dial]] = {}
        self._lines: dict[int, Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_draining = False

    # --- asked by workers ---

    def dial(self, pair: DomainPair) -> None:
        """Have a stream for `pair`; answered by Granted or DialFailed."""
        dial = self._dials.get(pair)
        if dial is None:
            dial = self._begin(pair)
        elif dial.authorised and dial.line is not None:
            connection = dial.line.connection
            is_ours = connection.direction == "out"
            mechanism = connection.core.grants.send.get(pair, connection.core.mechanism)
            self._tell(Granted(connection.number, pair, is_ours, mechanism), pair)
        dial.for_stanzas = True

    def verify(self, frame: VerifyKey) -> None:
        """Have a key verified on a stream to its domain, opening one if there is none.

        XEP-0220 §2.1.2; answered by Verified, to the acceptor that holds the inbound stream.
        """
        dial = self._verifying(frame) or self._begin(frame.pair.inverse())
        if dial.line is None:
            dial.keys.append(frame)
        else:
            self._ask(dial.line, frame)

    def _verifying(self, frame: VerifyKey) -> Dial | None:
        for dial in self._toward.get(frame.pair.sender, ()):
            if dial.line is None or dial.line.answers_for(frame):
                return dial
        return None

    def _begin(self, pair: DomainPair) -> Dial:
        dial = self._dials[pair] = Dial(pair, next(self._begun), self._loop.create_future())
        self._toward.setdefault(pair.target, []).append(dial)
        task = self._loop.create_task(self._run(dial))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return dial

    def _forget(self, dial: Dial) -> None:
        if self._dials.get(dial.pair) is dial:
            del self._dials[dial.pair]
        toward = self._toward.get(dial.pair.target, [])
        if dial in toward:
            toward.remove(dial)
            if not toward:
                del self._toward[dial.pair.target]

    def _tell(self, frame: Frame, pair: DomainPair) -> None:
        self._to_shard(shard_of(*pair), frame)

    # --- the dial ---

    async def _run(self, dial: Dial) -> None:
        self._tell(Dialling(dial.pair), dial.pair)
        outcome = await self._attempts(dial)
        self._under_way.remove(dial)
        dial.over.set_result(outcome)
        error = outcome.error
        keys, dial.keys = dial.keys, []
        if error is None:
            for key in keys:  # it found a stream on which keys cannot be asked about
                self.verify(key)
            if not dial.for_stanzas:
                self._loop.call_later(_VERIFY_IDLE_S, self._close_if_unused, dial)
            return
        self._forget(dial)
        for key in keys:
            self._to_acceptor(key.owner, Verified(key.request, outcome.verdict()))
        log.warning(
            "s2s.dial_failed",
            local=dial.pair.sender,
            remote=dial.pair.target,
            target=dial.tried,
            condition=error.condition,
            text=error.text,
        )
        self._history.note(*dial.pair, "dial_failed", condition=error.condition, text=error.text)
        self._tell(DialFailed(dial.pair, error.condition, error.type, error.text), dial.pair)

    async def _attempts(self, dial: Dial) -> Outcome:
        """Try what there is until something leads to a grant; how the last attempt ended."""
        pair = dial.pair
        if self._is_draining:
            return unreachable("this server is shutting down")
        if self._config.refuses(pair.target):
            return refusal(pair.target)
        closed = self._backoff.closed(pair.target) or self._backoff.closed(pair)
        if closed is not None:
            self._history.note(*pair, "backoff", seconds=round(closed[1], 1))
            return closed[0]
        outcome = await self._anywhere(dial)
        if outcome.error is None:
            self._backoff.succeeded(pair.target)
            self._backoff.succeeded(pair)
        else:
            self._backoff.failed(pair if outcome.is_connected else pair.target, outcome)
        return outcome

    async def _anywhere(self, dial: Dial) -> Outcome:
        domain = dial.pair.target
        try:
            targets = await self._places.targets(domain)
        except Unresolvable as error:
            self._history.note(*dial.pair, "dns", failed=str(error))
            return Outcome(StanzaError.of(error.condition, str(error)))
        found = ", ".join(f"{each.host}:{each.port}" for each in targets)
        self._history.note(*dial.pair, "dns", targets=found)
        dial.places = await self._places.of(domain, targets)
        self._under_way.add(dial)
        if dial.for_stanzas:
            await self._let_others_first(dial)
            if (shared := self._shared(dial)) is not None:
                outcome = await self._wait(dial)
                self._findings.asked(shared.connection, dial.pair, outcome)
                if outcome.error is None:
                    return outcome
        outcome = unreachable("no target could be reached")
        for target in targets:
            outcome = await self._target(dial, target)
            if not outcome.next:
                break
        return outcome

    async def _let_others_first(self, dial: Dial) -> None:
        """Wait for the first dial that opens a stream which may take this pair as well.

        Many pairs that need the same server at once, as after a start, then end up on one stream.
        Where that stream takes no other pair, neither will the next: so nobody waits for a second.
        """
        earlier = self._under_way.before(dial)
        may_lead = (each for each in earlier if self._sharing.may_follow(each.pair, dial.pair))
        if (leader := next(may_lead, None)) is not None:
            await asyncio.wait([leader.over], timeout=_CONNECT_S)

    def _shared(self, dial: Dial) -> Line | None:
        """A stream for other pairs that has been asked to take this one, if there is one."""
        pair = dial.pair
        connection = self._sharing.find(pair, dial.places)
        if connection is None:
            return None
        line = self._lines.get(connection.number)
        if line is None:
            line = self._lines[connection.number] = Line(connection, Approach())
        self._history.note(*pair, "chosen", stream=connection.number, shared=True)
        dial.join(line, self._loop.create_future())
        core = connection.core
        assert isinstance(core, ServerStream)
        connection.act(core.ask_for(pair, self._loop.time()))
        return line

    async def _target(self, dial: Dial, target: Target) -> Outcome:
        """One target, in one way after another as its answers suggest."""
        place = (target.host, target.port)
        if (closed := self._backoff.closed(place)) is not None:
            return closed[0]
        tried = [self._findings.approach(dial.pair.target)]
        outcome = await self._attempt(dial, target, tried[0])
        while outcome.error is not None and len(tried) < _WAYS:
            again = outcome.again
            if again is None and outcome.is_connected and Approach() not in tried:
                again = Approach()  # what was known of the peer holds no more
            if again is None or tried.count(again) == 2:
                break
            tried.append(again)
            outcome = await self._attempt(dial, target, again)
        if outcome.error is None and dial.line is not None:
            self._findings.opened(dial.line.connection, tried[0], tried[-1])
        return outcome

    async def _attempt(self, dial: Dial, target: Target, approach: Approach) -> Outcome:
        place = (target.host, target.port)
        where = dial.tried = f"{target.host} port {target.port}"
        try:
            addresses = await self._places.addresses(dial.pair.target, target)
        except Unresolvable as error:
            return Outcome(StanzaError.of(error.condition, str(error)), next=True)
        if not addresses:
            return unreachable(f"{where}: no address that may be dialled", "cancel")
        try:
            async with asyncio.timeout(_CONNECT_S):
                transport, _ = await connect(self._loop, addresses, target.port, asyncio.Protocol)
        except (OSError, TimeoutError) as error:
            outcome = unreachable(f"{where}: {str(error) or 'no answer'}")
            self._backoff.failed(place, outcome)
            self._history.note(*dial.pair, "connect", to=where, failed=str(error) or "no answer")
            return outcome
        self._backoff.succeeded(place)
        connection = self._new_connection(dial.pair, target, approach)
        line = self._lines[connection.number] = Line(connection, approach)
        dial.join(line, self._loop.create_future())
        connection.connected(transport)
        self._history.note(
            *dial.pair, "connect", to=where, address=connection.address, stream=connection.number
        )
        core = connection.core
        assert isinstance(core, InitiatingStream)
        connection.act(core.open())
        waiting, dial.keys = dial.keys, []
        for key in waiting:
            self._ask(line, key)
        outcome = await self._wait(dial)
        if outcome.error is not None and line.is_useless():
            connection.close()
        return outcome

    async def _wait(self, dial: Dial) -> Outcome:
        assert dial.ended is not None
        outcome = await dial.ended
        if outcome.error is not None:
            dial.leave()
        return outcome

    # --- what becomes of a stream ---

    def authorised(self, connection: Connection, pair: DomainPair) -> None:
        """The peer takes stanzas of `pair` on this stream."""
        if (dial := self._waiting(connection, pair)) is not None:
            dial.authorised = True
            dial.settle(AUTHORISED)

    def refused(self, connection: Connection, event: PairRefused) -> None:
        """The peer refused our proof for a pair."""
        if (dial := self._waiting(connection, event.pair)) is not None and dial.line is not None:
            dial.settle(attempts.refused(event.error, event.answer, dial.line.approach))

    def _waiting(self, connection: Connection, pair: DomainPair) -> Dial | None:
        line = self._lines.get(connection.number)
        return next((dial for dial in line.dials if dial.pair == pair), None) if line else None

    def heard_from(self, domain: str) -> None:
        """The domain has just proved itself to us: whatever failed there may work now."""
        self._backoff.succeeded(domain)

    def stream_closing(self, connection: Connection) -> None:
        """A stream takes nothing more: who wants its pairs now, needs another one."""
        if (line := self._lines.get(connection.number)) is not None:
            for dial in line.dials:
                if dial.authorised:
                    self._forget(dial)

    def stream_gone(self, connection: Connection) -> None:
        """A stream is closed. Keys asked on it are asked at the next target, if any."""
        line = self._lines.pop(connection.number, None)
        if line is None:
            return
        asked = [key for keys in line.asked.values() for key in keys]
        for dial in line.dials:
            dial.line = None
            if dial.settle(attempts.ended(connection, line.approach)):
                dial.keys += [key for key in asked if key.pair.sender == dial.pair.target]
                asked = [key for key in asked if key.pair.sender != dial.pair.target]
        for key in asked:
            self._to_acceptor(key.owner, Verified(key.request, "remote-server-timeout"))

    def key_answered(self, connection: Connection, event: KeyAnswered) -> None:
        """The authoritative server has spoken."""
        line = self._lines.get(connection.number)
        if line is not None:
            for key in line.asked.pop((event.pair, event.stream_id), ()):
                self._to_acceptor(key.owner, Verified(key.request, event.verdict))

    def announcements(self, shards: frozenset[int]) -> Iterator[Frame]:
        """What a new owner of these shards must know of the dials under way."""
        for dial in self._dials.values():
            if not dial.authorised and shard_of(*dial.pair) in shards:
                yield Dialling(dial.pair)

    def drain(self) -> None:
        """Open nothing more."""
        self._is_draining = True

    def close(self) -> None:
        """Break off the dials under way."""
        self.drain()
        for task in list(self._tasks):
            task.cancel()

    # --- keys ---

    def _ask(self, line: Line, frame: VerifyKey) -> None:
        waiting = line.asked.setdefault((frame.pair, frame.stream_id), [])
        if waiting and waiting[0].key != frame.key:
            # The answer will name no key, and the id of a stream that we opened is its peer's
            # choice: it must not get what another stream's key has earned.
            self._to_acceptor(frame.owner, Verified(frame.request, "remote-server-timeout"))
            return
        waiting.append(frame)
        if len(waiting) == 1:
            core = line.connection.core
            assert isinstance(core, InitiatingStream)
            core.verify(frame.pair, frame.stream_id, frame.key, self._loop.time())
            line.connection.act([])

    def _close_if_unused(self, dial: Dial) -> None:
        line = dial.line
        # A worker that knows of the stream sends stanzas on it without asking for a dial.
        if line is None or dial.for_stanzas or len(line.dials) > 1:
            return
        if line.connection.stanzas_in or line.connection.stanzas_out:
            return
        if line.asked:
            self._loop.call_later(_VERIFY_IDLE_S, self._close_if_unused, dial)
        else:
            line.connection.close()
