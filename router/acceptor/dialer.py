"""Streams that we open: find the target, connect, and see the stream through to its grant.

One dial per domain pair at a time. Owns the outbound connections by pair, and the keys that wait to
be verified on them. What the shard wants to know goes out as frames.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from router.acceptor.addresses import connect, permitted
from router.acceptor.connection import Connection
from router.acceptor.dns import Resolver, Target, Unresolvable
from router.config import Config
from router.wire.frames import DialFailed, Dialling, Frame, Granted, Verified, VerifyKey
from router.wire.shard import shard_of
from router.xmpp.errors import StanzaError
from router.xmpp.events import KeyAnswered
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair

log = structlog.get_logger()

_VERIFY_IDLE_S = 30.0
_CONNECT_S = 10.0  # per target, all its addresses together


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt at one target ended. `error` None: authorised. `next`: try another target.

    `is_connected`: there was a connection, with TLS where it was tried.
    """

    error: StanzaError | None
    next: bool = False
    is_connected: bool = False

    def verdict(self) -> str:
        """What this means for a key that nobody could verify (XEP-0220 §2.5, DBK-17)."""
        condition = self.error.condition if self.error is not None else ""
        if condition == "remote-server-timeout" and not self.is_connected:
            return "remote-connection-failed"
        return condition


@dataclass(slots=True, eq=False)
class Dial:
    """A dial under way, or the stream it led to.

    `keys` wait for a connection; `asked` have been sent on the one there is.
    """

    pair: DomainPair
    connection: Connection | None = None
    authorised: bool = False
    for_stanzas: bool = False
    ended: "asyncio.Future[Outcome] | None" = None
    keys: list[VerifyKey] = field(default_factory=list)
    asked: dict[tuple[DomainPair, str], list[VerifyKey]] = field(default_factory=dict)


class Dialer:
    """All streams this acceptor has opened or is opening.

    `new_connection(pair, target)` makes the connection and its core; `to_shard` and `to_acceptor`
    send frames.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: Config,
        resolver: Resolver,
        *,
        new_connection: Callable[[DomainPair, Target], Connection],
        to_shard: Callable[[int, Frame], None],
        to_acceptor: Callable[[str, Frame], None],
    ) -> None:
        self._loop = loop
        self._config = config
        self._resolver = resolver
        self._new_connection = new_connection
        self._to_shard = to_shard
        self._to_acceptor = to_acceptor
        self._dials: dict[DomainPair, Dial] = {}
        self._streams: dict[int, Dial] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_draining = False

    # --- asked by workers ---

    def dial(self, pair: DomainPair) -> None:
        """Have a stream for `pair`; answered by Granted or DialFailed."""
        dial = self._dials.get(pair)
        if dial is None:
            dial = self._begin(pair)
        elif dial.authorised and dial.connection is not None:
            mechanism = dial.connection.core.mechanism
            self._tell(Granted(dial.connection.number, pair, True, mechanism), pair)
        dial.for_stanzas = True

    def verify(self, frame: VerifyKey) -> None:
        """Have a key verified on the stream to its domain, opening one if there is none.

        XEP-0220 §2.1.2; answered by Verified, to the acceptor that holds the inbound stream.
        """
        pair = frame.pair.inverse()
        dial = self._dials.get(pair) or self._begin(pair)
        if dial.connection is None:
            dial.keys.append(frame)
        else:
            self._ask(dial, frame)

    def _begin(self, pair: DomainPair) -> Dial:
        dial = self._dials[pair] = Dial(pair)
        task = self._loop.create_task(self._run(dial))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return dial

    def _tell(self, frame: Frame, pair: DomainPair) -> None:
        self._to_shard(shard_of(*pair), frame)

    # --- the dial ---

    async def _run(self, dial: Dial) -> None:
        self._tell(Dialling(dial.pair), dial.pair)
        outcome = await self._attempts(dial)
        error = outcome.error
        if error is None:
            if not dial.for_stanzas:
                self._loop.call_later(_VERIFY_IDLE_S, self._close_if_unused, dial)
            return
        self._dials.pop(dial.pair, None)
        for key in dial.keys:
            self._to_acceptor(key.owner, Verified(key.request, outcome.verdict()))
        log.warning(
            "s2s.dial_failed",
            local=dial.pair.sender,
            remote=dial.pair.target,
            condition=error.condition,
            text=error.text,
        )
        self._tell(DialFailed(dial.pair, error.condition, error.type, error.text), dial.pair)

    async def _attempts(self, dial: Dial) -> Outcome:
        """Try the targets in order until one leads to a grant; how the last one ended."""
        if self._is_draining:
            return _failed("this server is shutting down")
        if self._config.peer(dial.pair.target).deny:
            return _failed("this domain is not admitted", "cancel")
        try:
            targets = await self._targets(dial.pair.target)
        except Unresolvable as error:
            return Outcome(StanzaError.of(error.condition, str(error)))
        outcome = _failed("no target could be reached")
        for target in targets:
            outcome = await self._attempt(dial, target)
            if not outcome.next:
                break
        return outcome

    async def _targets(self, domain: str) -> tuple[Target, ...]:
        peer = self._config.peer(domain)
        if peer.target is None:
            return await self._resolver.targets(domain)
        return (Target(peer.target.host, peer.target.port, peer.target_tls),)

    async def _attempt(self, dial: Dial, target: Target) -> Outcome:
        where = f"{target.host} port {target.port}"
        is_static = self._config.peer(dial.pair.target).target is not None
        allow_private = is_static or self._config.dial.allow_private_addresses
        try:
            found = await self._resolver.addresses(target.host)
        except Unresolvable as error:
            return Outcome(StanzaError.of(error.condition, str(error)), next=True)
        addresses = [address for address in found if permitted(address, allow_private)]
        if not addresses:
            return _failed(f"{where}: no address that may be dialled", "cancel")
        try:
            async with asyncio.timeout(_CONNECT_S):
                transport, _ = await connect(self._loop, addresses, target.port, asyncio.Protocol)
        except (OSError, TimeoutError) as error:
            return _failed(f"{where}: {str(error) or 'no answer'}")
        ended = dial.ended = self._loop.create_future()
        connection = dial.connection = self._new_connection(dial.pair, target)
        self._streams[connection.number] = dial
        connection.connected(transport)
        core = _core(connection)
        connection.act(core.open())
        waiting, dial.keys = dial.keys, []
        for key in waiting:
            self._ask(dial, key)
        outcome: Outcome = await ended
        return outcome

    # --- what becomes of a stream ---

    def authorised(self, connection: Connection, pair: DomainPair) -> None:
        """The peer takes stanzas of `pair` on this outbound stream."""
        dial = self._streams.get(connection.number)
        if dial is not None and dial.pair == pair:
            dial.authorised = True
            _settle(dial, Outcome(None))

    def refused(self, connection: Connection, pair: DomainPair, error: StanzaError) -> None:
        """The peer refused our proof for `pair`."""
        dial = self._streams.get(connection.number)
        if dial is not None and dial.pair == pair:
            _settle(dial, Outcome(error, is_connected=True))

    def stream_closing(self, connection: Connection) -> None:
        """An outbound stream takes nothing more: who wants its pair now, needs another one."""
        dial = self._streams.get(connection.number)
        if dial is not None and dial.authorised and self._dials.get(dial.pair) is dial:
            del self._dials[dial.pair]

    def stream_gone(self, connection: Connection) -> None:
        """An outbound stream is closed. Keys asked on it are asked at the next target, if any."""
        dial = self._streams.pop(connection.number, None)
        if dial is None:
            return
        dial.connection = None
        asked = [key for keys in dial.asked.values() for key in keys]
        dial.asked.clear()
        if dial.ended is not None and not dial.ended.done():
            dial.keys += asked
            dial.ended.set_result(_outcome(connection))
            return
        for key in asked:
            self._to_acceptor(key.owner, Verified(key.request, "remote-server-timeout"))

    def key_answered(self, connection: Connection, event: KeyAnswered) -> None:
        """The authoritative server has spoken."""
        dial = self._streams.get(connection.number)
        if dial is not None:
            for key in dial.asked.pop((event.pair, event.stream_id), ()):
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

    def _ask(self, dial: Dial, frame: VerifyKey) -> None:
        if dial.connection is None:
            return
        question = (frame.pair, frame.stream_id)
        first = question not in dial.asked
        dial.asked.setdefault(question, []).append(frame)
        if first:
            core = _core(dial.connection)
            core.verify(frame.pair, frame.stream_id, frame.key, self._loop.time())
            dial.connection.act([])

    def _close_if_unused(self, dial: Dial) -> None:
        connection = dial.connection
        # A worker that knows of the stream sends stanzas on it without asking for a dial.
        if (
            dial.for_stanzas
            or connection is None
            or connection.stanzas_in
            or connection.stanzas_out
        ):
            return
        if dial.asked:
            self._loop.call_later(_VERIFY_IDLE_S, self._close_if_unused, dial)
        else:
            connection.close()


def _failed(text: str, error_type: str = "wait") -> Outcome:
    """No connection came about."""
    return Outcome(StanzaError("remote-server-timeout", error_type, text), next=True)


def _settle(dial: Dial, outcome: Outcome) -> None:
    if dial.ended is not None and not dial.ended.done():
        dial.ended.set_result(outcome)


def _core(connection: Connection) -> InitiatingStream:
    assert isinstance(connection.core, InitiatingStream)
    return connection.core


def _outcome(connection: Connection) -> Outcome:
    """What a stream that closed before its grant means for those who wait (RTE-10, ERR-03)."""
    end = connection.end
    condition = end.condition if end is not None else None
    if connection.tls_failure:
        return _failed(f"{connection.address}: TLS: {connection.tls_failure}")
    text = end.text if end is not None else ""
    detail = f"{condition or 'connection closed'} during negotiation" + (
        f": {text}" if text else ""
    )
    if condition in ("host-unknown", "host-gone"):
        return Outcome(StanzaError.of("remote-server-not-found", detail), is_connected=True)
    if condition == "policy-violation":
        error = StanzaError("remote-server-timeout", "cancel", detail)
        return Outcome(error, is_connected=True)
    error = StanzaError.of("remote-server-timeout", detail)
    return Outcome(error, next=True, is_connected=True)
