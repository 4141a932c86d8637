"""SOCKS5 bytestreams in the making (XEP-0260): candidates offered, tried, and one nominated.

Called by `sessions`, an attempt for each session that offers or is offered this transport.
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable
from typing import Final

import structlog

from router.acceptor.e2e.proxy import Proxy
from router.acceptor.e2e.socks5_links import Link, Listeners, connect
from router.config import Address, Config
from router.xmpp.bytestreams.listening import is_offerable
from router.xmpp.bytestreams.nomination import (
    Attempt,
    Decision,
    Failed,
    Negotiation,
    Ready,
    Say,
    UseProxy,
    attempts,
)
from router.xmpp.bytestreams.s5b_transport import Candidate, S5bOffer, Said, priority
from router.xmpp.bytestreams.socks5 import dstaddr
from router.xmpp.jingle.transport import TransportInfo

log = structlog.get_logger()

GIVE_UP_S: Final = 20.0
EXPECTED_S: Final = 90.0
"""A peer connects after it has been asked what it supports, and has agreed."""
_ID_BYTES: Final = 16
_MOST_PREFERRED: Final = 65_535


class Socks5Bytestream:
    """One of them. `say` tells the peer; `ready` gets the link, `failed` a reason of XEP-0166."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ours: S5bOffer,
        local: str,
        peer: str,
        *,
        allow_private: bool,
    ) -> None:
        self._loop = loop
        self.offer = ours
        self._asked = dstaddr(ours.sid, peer, local)  # by us, of the peer's candidates
        self._allow_private = allow_private
        self._negotiation: Negotiation | None = None
        self._made: Link | None = None
        self._came: Link | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._untried = 0
        self._is_over = False
        self.say: Callable[[TransportInfo], None] = lambda info: None
        self.ready: Callable[[Link], None] = Link.close
        self.failed: Callable[[str], None] = lambda reason: None
        self._wants_incoming = False

    def begin(self, ours: S5bOffer, theirs: S5bOffer, *, is_initiator: bool) -> None:
        """Both have said where they may be reached: try the peer's candidates."""
        self._negotiation = Negotiation(ours, theirs, is_initiator=is_initiator)
        self._timer = self._loop.call_later(GIVE_UP_S, self._give_up)
        planned = attempts(theirs.candidates)
        self._untried = len(planned)
        if not planned:
            self._decide(self._negotiation.exhausted())
        for attempt in planned:
            task = self._loop.create_task(self._try(attempt))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _try(self, attempt: Attempt) -> None:
        await asyncio.sleep(attempt.delay_s)
        negotiation, candidate, link = self._negotiation, attempt.candidate, None
        assert negotiation is not None
        if negotiation.worth_trying(candidate):
            link = await connect(
                self._loop, candidate, self._asked, allow_private=self._allow_private
            )
        self._untried -= 1
        if link is not None and (self._is_over or not negotiation.worth_trying(candidate)):
            link.close()
        elif link is not None:
            self._made = link
            self._decide(negotiation.connected(candidate.cid))
        if not self._untried and self._made is None:
            self._decide(negotiation.exhausted())

    def came(self, link: Link) -> None:
        """The peer has connected to us."""
        if self._is_over or self._came is not None:
            link.close()
            return
        self._came = link
        if self._wants_incoming:
            self._use(link)

    def heard(self, said: Said) -> None:
        """What the peer says; out of order, it is of no account."""
        if self._negotiation is not None and not self._is_over:
            decisions = self._negotiation.heard(said)
            if isinstance(decisions, list):
                self._decide(decisions)

    def _decide(self, decisions: list[Decision]) -> None:
        assert self._negotiation is not None
        for decision in decisions:
            if isinstance(decision, Say):
                self.say(decision.said)
            elif isinstance(decision, UseProxy):
                self._decide(self._negotiation.proxy_failed())  # we offer none
            elif isinstance(decision, Ready):
                self._chosen(decision)
            elif isinstance(decision, Failed):
                self.close()
                self.failed(decision.reason)

    def _chosen(self, ready: Ready) -> None:
        link = self._came if ready.is_ours else self._made
        if link is not None:
            self._use(link)
        else:
            self._wants_incoming = True  # its last octets are on their way to us

    def _use(self, link: Link) -> None:
        """This one; the others go."""
        if link is self._made:
            self._made = None
        else:
            self._came = None
        self.close()
        self.ready(link)

    def _give_up(self) -> None:
        if self._negotiation is not None and not self._is_over:
            self._decide(self._negotiation.give_up())
            if not self._is_over:
                self.close()
                self.failed("connectivity-error")

    def close(self) -> None:
        """No more attempts; links that are not in use go."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        for link in (self._made, self._came):
            if link is not None:
                link.close()
        self._made = self._came = None


class Socks5:
    """All of an acceptor's: where peers may connect, and who waits for whom."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, config: Config, may_use: Callable[[str], bool]
    ) -> None:
        self._loop = loop
        self._local = config.service
        self._is_proxy = config.e2e.proxy
        self.proxy = Proxy(loop, config.service, may_use)
        self._addresses = config.e2e.socks5
        self._public = config.e2e.socks5_public
        self._allow_private = config.dial.allow_private_addresses
        self._listeners: Listeners[Socks5Bytestream] = Listeners(
            loop, Socks5Bytestream.came, self.proxy.hold
        )
        self._opening: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Listen, if there is where."""
        if self._addresses:
            self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        await self._listeners.open(self._addresses)
        if self._is_proxy and (places := self._places()):
            self.proxy.open(places[0])

    def close(self) -> None:
        """Listen no more."""
        if self._opening is not None:
            self._opening.cancel()
        self.proxy.close()
        self._listeners.close()

    def offered(self, peer: str, sid: str = "") -> Socks5Bytestream:
        """A bytestream with this peer, its candidates ours; the peer may connect from now on."""
        sid = sid or secrets.token_hex(_ID_BYTES)
        candidates = tuple(map(self._candidate, self._places(), itertools.count()))
        made = Socks5Bytestream(
            self._loop,
            S5bOffer(sid, candidates),
            self._local,
            peer,
            allow_private=self._allow_private,
        )
        if candidates:
            now = self._loop.time()
            self._listeners.expected.expire(now)
            mine = dstaddr(sid, self._local, peer)
            self._listeners.expected.expect(mine, made, now + EXPECTED_S)
        return made

    def _places(self) -> list[Address]:
        """Where others may be told to connect to."""
        return [
            place
            for place in self._public or self._listeners.addresses
            if is_offerable(place.host, allow_private=self._allow_private)
        ]

    def _candidate(self, place: Address, index: int) -> Candidate:
        rank = priority("direct", _MOST_PREFERRED - index)
        cid = secrets.token_hex(_ID_BYTES)
        return Candidate(cid, place.host, self._local, place.port, rank)
