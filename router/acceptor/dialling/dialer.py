"""Streams that we open: find the target, connect, and see the stream through to its grant.

One dial per domain pair at a time; several pairs may end up on one stream (`sharing`), and only so
many are on their way to one place (`turns`). Owns the dials by pair and the keys that wait for a
stream to be asked on. What the shard wants to know goes out as frames.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

import structlog

from router.acceptor.connection import Connection
from router.acceptor.dialling import attempts
from router.acceptor.dialling.addresses import connect
from router.acceptor.dialling.attempts import AUTHORISED, Approach, Outcome, unreachable
from router.acceptor.dialling.backoff import Backoffs
from router.acceptor.dialling.dns import Target, Unresolvable
from router.acceptor.dialling.findings import Findings
from router.acceptor.dialling.joining import Joining
from router.acceptor.dialling.keys import Keys
from router.acceptor.dialling.lines import Dial, Lines
from router.acceptor.dialling.places import Places
from router.acceptor.dialling.sharing import Place, Sharing
from router.acceptor.dialling.turns import Turns
from router.acceptor.history import History
from router.config import Config
from router.wire.frames import DialFailed, Dialling, Frame, Granted, VerifyKey
from router.wire.shard import shard_of
from router.xmpp.errors import StanzaError
from router.xmpp.events import KeyAnswered, PairRefused
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair

log = structlog.get_logger()

_VERIFY_IDLE_S = 30.0
_CONNECT_S = 10.0  # per target, all its addresses together
_WAYS = 3  # connections to one target, each in another way
# Of ours to one place at once. A server like this takes 64 that have proved nothing from an address
# (`unauthenticated_per_address`), and by dialback as many again go there to ask about its keys.
_CONNECTING = 24


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
        self._findings = findings
        self._history = history
        self._new_connection = new_connection
        self._to_shard = to_shard
        self._lines = Lines()
        self._keys = Keys(loop, to_acceptor)
        self._joining = Joining(loop, sharing, findings, history, self._lines, self._keys)
        self._backoffs: Backoffs[Outcome] = Backoffs(loop.time, Random(), config)
        self._dials: dict[DomainPair, Dial] = {}
        self._begun = count()
        self._connecting = Turns(_CONNECTING)
        self._toward: dict[str, list[Dial]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_one_way = False
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
        if dial.line is not None:
            self._keys.ask(dial.line, frame)
        else:
            dial.keys.append(frame)
            dial.urge()

    def verify_at_hand(self, frame: VerifyKey, otherwise: Callable[[], None]) -> None:
        """Have a key verified on a stream that there is, or call `otherwise`. Nobody is dialled."""
        self._start(self._look_at_hand(frame, otherwise))

    async def _look_at_hand(self, frame: VerifyKey, otherwise: Callable[[], None]) -> None:
        domain = frame.pair.sender
        if self._config.refuses(domain):
            return otherwise()
        try:
            places = await self._places.of(domain, await self._places.targets(domain))
        except Unresolvable:
            return otherwise()
        if not self._joining.ask_about(frame, places):
            otherwise()

    def _verifying(self, frame: VerifyKey) -> Dial | None:
        for dial in self._toward.get(frame.pair.sender, ()):
            if dial.line is None or dial.line.answers_for(frame):
                return dial
        return None

    def _begin(self, pair: DomainPair) -> Dial:
        dial = self._dials[pair] = Dial(pair, next(self._begun), self._loop.create_future())
        self._toward.setdefault(pair.target, []).append(dial)
        self._start(self._run(dial))
        return dial

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
        self._joining.over(dial)
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
            self._keys.answer(key, outcome.verdict())
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
            return attempts.refusal(pair.target)
        backoff = self._backoffs.of(pair.target)
        closed = backoff.closed(pair.target) or backoff.closed(pair)
        if closed is not None:
            self._history.note(*pair, "backoff", seconds=round(closed[1], 1))
            return closed[0]
        outcome = await self._anywhere(dial)
        if outcome.error is None:
            backoff.succeeded(pair.target)
            backoff.succeeded(pair)
        elif not outcome.is_untried:
            backoff.failed(pair if outcome.is_connected else pair.target, outcome)
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
        self._joining.came(dial)
        await self._joining.let_others_first(dial)
        shared = await self._joining.share(dial)
        if shared is not None and shared.error is None:
            return shared
        outcome = unreachable("no target could be reached")
        for target in targets:
            outcome = await self._target(dial, target)
            if not outcome.next:
                break
        return outcome

    async def _target(self, dial: Dial, target: Target) -> Outcome:
        """One target, when it is our turn there."""
        if self._is_draining:
            return unreachable("this server is shutting down")
        place = (target.host, target.port)
        if (closed := self._backoffs.of(dial.pair.target).closed(place)) is not None:
            return closed[0]
        where = dial.tried = f"{target.host} port {target.port}"
        try:
            addresses = await self._places.addresses(dial.pair.target, target)
        except Unresolvable as error:
            return Outcome(StanzaError.of(error.condition, str(error)), next=True)
        if not addresses:
            return unreachable(f"{where}: no address that may be dialled", "cancel")
        try:
            turn = await self._connecting.come((min(addresses), target.port), dial.urged)
        except TimeoutError:
            return attempts.untried(f"{where}: too many connections there are being opened")
        try:
            if self._is_draining:
                return unreachable("this server is shutting down")
            later = await self._after_a_while(dial, place) if turn.has_waited else None
            return later or await self._in_any_way(dial, target, addresses)
        finally:
            self._connecting.end(turn)

    async def _after_a_while(self, dial: Dial, place: Place) -> Outcome | None:
        """What has become possible or impossible meanwhile, if anything."""
        if (closed := self._backoffs.of(dial.pair.target).closed(place)) is not None:
            return closed[0]
        shared = await self._joining.share(dial)
        return shared if shared is not None and shared.error is None else None

    async def _in_any_way(self, dial: Dial, target: Target, addresses: list[str]) -> Outcome:
        """One target, in one way after another as its answers suggest."""
        tried = [self._findings.approach(dial.pair)]
        outcome = await self._attempt(dial, target, addresses, tried[0])
        while outcome.error is not None and len(tried) < _WAYS:
            again = outcome.again
            if again is None and outcome.is_connected and Approach() not in tried:
                again = Approach()  # what was known of the peer holds no more
            if again is None or tried.count(again) == 2:
                break
            tried.append(again)
            outcome = await self._attempt(dial, target, addresses, again)
        if outcome.error is None and dial.line is not None:
            self._findings.opened(dial.line.connection, tried[0], tried[-1])
        return outcome

    async def _attempt(
        self, dial: Dial, target: Target, addresses: list[str], approach: Approach
    ) -> Outcome:
        backoff = self._backoffs.of(dial.pair.target)
        place, where = (target.host, target.port), dial.tried
        try:
            async with asyncio.timeout(_CONNECT_S):
                transport, _ = await connect(self._loop, addresses, target.port, asyncio.Protocol)
        except (OSError, TimeoutError) as error:
            outcome = unreachable(f"{where}: {str(error) or 'no answer'}")
            backoff.failed(place, outcome)
            self._history.note(*dial.pair, "connect", to=where, failed=str(error) or "no answer")
            return outcome
        backoff.succeeded(place)
        if self._is_one_way:
            approach = replace(approach, bidi=False)
        connection = self._new_connection(dial.pair, target, approach)
        line = self._lines.opened(connection, approach)
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
            self._keys.ask(line, key)
        outcome = await dial.ending()
        if outcome.error is not None and line.is_useless():
            connection.close()
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
        line = self._lines.find(connection)
        return next((dial for dial in line.dials if dial.pair == pair), None) if line else None

    def heard_from(self, domain: str) -> None:
        """The domain has just proved itself to us: whatever failed there may work now."""
        self._backoffs.of(domain).succeeded(domain)

    def stream_closing(self, connection: Connection) -> None:
        """A stream takes nothing more: who wants its pairs now, needs another one."""
        if (line := self._lines.find(connection)) is not None:
            for dial in line.dials:
                if dial.authorised:
                    self._forget(dial)

    def stream_gone(self, connection: Connection) -> None:
        """A stream is closed. Keys asked on it are asked at the next target, if any."""
        line = self._lines.gone(connection)
        if line is None:
            return
        asked = [key for keys in line.asked.values() for key in keys]
        for dial in line.dials:
            dial.line = None
            if dial.settle(attempts.ended(connection, line.approach)):
                dial.keys += [key for key in asked if key.pair.sender == dial.pair.target]
                asked = [key for key in asked if key.pair.sender != dial.pair.target]
        for key in asked:
            self._keys.answer(key, "remote-server-timeout")

    def key_answered(self, connection: Connection, event: KeyAnswered) -> None:
        """The authoritative server has spoken."""
        if (line := self._lines.find(connection)) is not None:
            self._keys.answered(line, event)

    def announcements(self, shards: frozenset[int]) -> Iterator[Frame]:
        """What a new owner of these shards must know of the dials under way."""
        for dial in self._dials.values():
            if not dial.authorised and shard_of(*dial.pair) in shards:
                yield Dialling(dial.pair)

    def dial_one_way(self) -> None:
        """Ask for bidi no more: what opens from now on brings nothing."""
        self._is_one_way = True

    def reload(self, config: Config) -> None:
        """Whom to dial, and where, another configuration says from now on."""
        self._config = self._places.config = config
        self._backoffs.reload(config)

    def drain(self) -> None:
        """Open nothing more; whoever waits for a turn learns of it."""
        self._is_draining = True
        for dial in self._dials.values():
            dial.urge()

    def close(self) -> None:
        """Break off the dials under way."""
        self.drain()
        for task in list(self._tasks):
            task.cancel()

    def _close_if_unused(self, dial: Dial) -> None:
        line = dial.line
        if line is None or any(each.for_stanzas or not each.authorised for each in line.dials):
            return
        # A worker that knows of the stream sends stanzas on it without asking for a dial.
        if line.connection.stanzas_in or line.connection.stanzas_out:
            return
        if line.asked:
            self._loop.call_later(_VERIFY_IDLE_S, self._close_if_unused, dial)
        else:
            line.connection.close()
