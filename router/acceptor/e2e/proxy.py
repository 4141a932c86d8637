"""The proxy role of XEP-0065 on real connections: those that two others make to each other here.

Runs `router.xmpp.bytestreams.proxy`, which decides everything. The listeners of `socks5_links`
offer it the connections that no session of ours expects; `service` hands in what is asked of it.
"""

import asyncio
from collections.abc import Callable, Iterable
from xml.etree.ElementTree import Element

from router.config import Address
from router.xmpp.bytestreams.proxy import Link, ProxyRole
from router.xmpp.bytestreams.relay import (
    Action,
    Disconnect,
    EndWriting,
    PauseReading,
    ResumeReading,
    Write,
)
from router.xmpp.bytestreams.streamhost import StreamHost
from router.xmpp.stanza import Stanza


class Proxy:
    """The proxy `local`, for those who `may_use` it; none at all before `open`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, local: str, may_use: Callable[[str], bool]
    ) -> None:
        self._loop = loop
        self._local = local
        self._may_use = may_use
        self._role = ProxyRole(None, may_use)
        self._transports: dict[int, asyncio.Transport] = {}
        self._next = 1
        self._timer: asyncio.TimerHandle | None = None

    def open(self, place: Address) -> None:
        """Be one: others reach us here."""
        self._role = ProxyRole(StreamHost(self._local, place.host, place.port), self._may_use)

    def close(self) -> None:
        """Be none any more; what was linked is cut."""
        self._role = ProxyRole(None, self._may_use)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for transport in list(self._transports.values()):
            transport.abort()

    def receive(self, stanza: Stanza, query: Element) -> bytes:
        """The answer to an iq with a `<query/>` of XEP-0065."""
        found = self._role.receive(stanza, query)
        if not isinstance(found, Link):
            return found
        for number in (found.first, found.second):
            if number not in self._transports:
                return self._role.not_linked(found)
        return self._role.linked(found)

    # --- connections ---

    def hold(self, dstaddr: str, transport: asyncio.Transport) -> asyncio.Protocol | None:
        """Who takes a connection that asks for this hash; None: refuse it."""
        peer = transport.get_extra_info("peername")
        number, self._next = self._next, self._next + 1
        if not self._role.hold(number, dstaddr, peer[0] if peer else "", self._loop.time()):
            return None
        self._transports[number] = transport
        self._arm()
        return _Relayed(self, number)

    def received(self, number: int, octets: bytes) -> None:
        """Octets came in on this connection."""
        self._do(self._role.received(number, octets))

    def ended(self, number: int) -> None:
        """It brings no more."""
        self._do(self._role.ended(number))

    def lost(self, number: int) -> None:
        """It is gone."""
        self._transports.pop(number, None)
        self._do(self._role.lost(number))

    def full(self, number: int) -> None:
        """What is to be written on it piles up."""
        self._do(self._role.full(number))

    def drained(self, number: int) -> None:
        """It no longer does."""
        self._do(self._role.drained(number))

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            transport = self._transports.get(action.connection)
            if transport is None or transport.is_closing():
                continue
            if isinstance(action, Write):
                transport.write(action.octets)
            elif isinstance(action, EndWriting):
                transport.write_eof()
            elif isinstance(action, PauseReading):
                transport.pause_reading()
            elif isinstance(action, ResumeReading):
                transport.resume_reading()
            elif isinstance(action, Disconnect):
                transport.close()

    # --- time ---

    def _arm(self) -> None:
        due = self._role.deadline()
        if self._timer is None and due is not None:
            self._timer = self._loop.call_at(due, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._do(self._role.expire(self._loop.time()))
        self._arm()


class _Relayed(asyncio.Protocol):
    """One connection, held or linked."""

    def __init__(self, proxy: Proxy, number: int) -> None:
        self._proxy = proxy
        self._number = number

    def data_received(self, data: bytes) -> None:
        self._proxy.received(self._number, data)

    def eof_received(self) -> bool:
        self._proxy.ended(self._number)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.lost(self._number)

    def pause_writing(self) -> None:
        self._proxy.full(self._number)

    def resume_writing(self) -> None:
        self._proxy.drained(self._number)
