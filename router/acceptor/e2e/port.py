"""The router's own address as an attached domain: a stream whose other end is this process.

Workers route to it as to any hosted domain, with lanes, retention and grace; of all acceptors of
a node one has it at a time, as with a component (CMP-02). Made by the acceptor.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Final, Protocol

import structlog

from router.acceptor.connection import Connection, Hub
from router.acceptor.openings import Openings
from router.acceptor.streams import SERVICE_LEG
from router.wire.frames import Attach, Attached, Detached, Frame
from router.wire.shard import shard_of
from router.xmpp import names
from router.xmpp.pair import DomainPair
from router.xmpp.policy import Policy
from router.xmpp.states import COMPONENT, Input, Phase
from router.xmpp.xmlstream import XmlStream

log = structlog.get_logger()

TAKEN_OVER_S: Final = 1.0
"""How soon another acceptor takes the address over."""
ASK_AGAIN_S: Final = 0.1
"""When nobody has answered: workers may not know of us yet."""


class PortCore(XmlStream):
    """The stream without XML: what is sent on it has arrived."""

    TABLE = COMPONENT
    NAMESPACE = names.COMPONENT

    def __init__(self, policy: Policy, domain: str, now: float) -> None:
        super().__init__(policy, lambda: "", Phase.PLAIN_HEADER, now)
        self._handshake_deadline = None
        self.domain = domain

    def attached(self) -> None:
        """Stanzas come from now on."""
        for step in (Input.HEADER, Input.AUTH, Input.SUCCESS):
            self._move(step)

    def may_send(self, pair: DomainPair) -> bool:
        """Whether the stanzas are for this address, and it is attached here."""
        return pair.target == self.domain and self.phase is Phase.OPEN


class Port(Connection):
    """`take` gets the stanzas, in order; they are done with when it returns."""

    core: PortCore

    def __init__(
        self,
        hub: Hub,
        loop: asyncio.AbstractEventLoop,
        core: PortCore,
        number: int,
        take: Callable[[bytes], None],
        closed: Callable[[], None],
    ) -> None:
        super().__init__(
            hub, loop, core, number=number, direction="in", leg=SERVICE_LEG, tls_context=None
        )
        self._take = take
        self._closed = closed

    def send_run(self, pair: DomainPair, octets: bytes, stanzas: int) -> None:
        """Hand over so many stanzas for the address."""
        self._take(octets)
        self.outlet.flushed(0)
        self.outlet.acknowledged(0)

    def close(self) -> None:
        """Take nothing more."""
        self._closed()

    def abort(self) -> None:
        """As `close`: there is nothing on its way."""
        self.close()


class Bus(Protocol):
    """The part of the acceptor's links that is needed here."""

    def to_shard(self, shard: int, frame: Frame) -> None:
        """To the shard's owner."""

    def to_all_workers(self, frame: Frame) -> None:
        """To every worker."""


class Attachment:
    """Asks for the address until it is ours, then holds it until `leave`.

    `attached` is the acceptor's table of attached domains. `take` gets the stanzas; `began` is
    called when the address is ours, `ended` when it is no more.
    """

    def __init__(
        self,
        hub: Hub,
        loop: asyncio.AbstractEventLoop,
        domain: str,
        openings: Openings,
        bus: Bus,
        attached: MutableMapping[str, Connection],
        take: Callable[[bytes], None],
        began: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._domain = domain
        self._openings = openings
        self._bus = bus
        self._attached = attached
        self._began = began
        self._ended = ended
        core = PortCore(openings.policy_of(SERVICE_LEG), domain, loop.time())
        self.port = openings.keep(lambda number: Port(hub, loop, core, number, take, self.leave))
        self._timer: asyncio.Handle = loop.call_soon(self._ask)

    def _ask(self) -> None:
        number = self.port.number
        frame = Attach(number, self._domain, number)
        self._bus.to_shard(shard_of(self._domain, self._domain), frame)
        self._timer = self._loop.call_later(ASK_AGAIN_S, self._ask)

    def answered(self, is_ours: bool) -> None:
        """The worker's word on who has the address."""
        if self.is_held() or self.port.number not in self._openings.open:
            return
        self._timer.cancel()
        if not is_ours:
            self._timer = self._loop.call_later(TAKEN_OVER_S, self._ask)
            return
        self.port.core.attached()
        self._attached[self._domain] = self.port
        self._bus.to_all_workers(Attached(self._domain, self.port.number))
        log.info("e2e.attached", domain=self._domain)
        self._began()

    def is_held(self) -> bool:
        """Whether the sessions are here."""
        return self._attached.get(self._domain) is self.port

    def leave(self) -> None:
        """Give the address up: another acceptor may have it."""
        self._timer.cancel()
        if self._openings.open.pop(self.port.number, None) is None:
            return
        if self.is_held():
            del self._attached[self._domain]
            self._ended()
        self._bus.to_all_workers(Detached(self._domain, self.port.number))
