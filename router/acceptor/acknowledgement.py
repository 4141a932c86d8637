"""Stream management on one connection: when to ask the peer for its count, and to tell it ours.

Made by the `Connection` when counting begins. The elements and the arithmetic are the core's
(`router.xmpp.stream_management`), what is handled `router.wire.handled` knows.
"""

import asyncio
from typing import Final, Protocol

from router.wire.egress import Outlet
from router.wire.handled import Handled, Taker, Ticket
from router.xmpp.events import (
    Acknowledged,
    Event,
    ManagementEvent,
    ManagementRefused,
    ReceivedManaged,
    SentManaged,
)
from router.xmpp.s2s import ServerStream

_INTERVAL_S: Final = 1.0
_STANZAS: Final = 64
_BYTES: Final = 131_072  # large stanzas must not fill a lane's window before anybody asks


class Link(Protocol):
    """The part of a `Connection` that this needs."""

    outlet: Outlet

    def send_due(self) -> None:
        """Send what the core has written."""

    def buffered(self) -> int:
        """Octets that wait to be sent."""

    def output(self) -> tuple[int, int]:
        """Octets written so far, and how many of them the peer's kernel has."""

    def act(self, events: list[Event]) -> None:
        """Do what the core's events ask for."""


class Acknowledgement:
    """Asks after 64 stanzas or 128 KiB, unless an answer is due, and in any case after a second.

    A peer whose kernel has everything, and that does not answer for `Policy.ack_timeout_s`, is
    gone: the stream ends with connection-timeout (RFC 6120 §4.9.3.4).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, core: ServerStream, link: Link) -> None:
        self._loop = loop
        self._core = core
        self._link = link
        self._handled: Handled | None = None
        self._told = 0
        self._unasked = self._unasked_bytes = 0
        self._asked_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def happened(self, event: ManagementEvent) -> None:
        """The core reports."""
        if isinstance(event, Acknowledged):
            self._asked_at = None
            self._link.outlet.handled(event.total)
            if self._is_much():
                self._ask()
                self._link.send_due()
        elif isinstance(event, SentManaged):
            self._link.outlet.managed()
        elif isinstance(event, ManagementRefused):
            self._link.outlet.unmanaged()
            self._asked_at = None
        elif isinstance(event, ReceivedManaged):
            self._handled, self._told = Handled(), 0

    # --- what we send ---

    def sent(self, stanzas: int, octets: int) -> None:
        """So much was written; the caller flushes."""
        self._unasked += stanzas
        self._unasked_bytes += octets
        if self._asked_at is None and self._is_much():
            self._ask()
        self._watch()

    def _is_much(self) -> bool:
        return self._unasked >= _STANZAS or self._unasked_bytes >= _BYTES

    def _ask(self) -> None:
        if self._core.request_ack():
            self._asked_at = self._asked_at or self._loop.time()
        self._unasked = self._unasked_bytes = 0

    # --- what we receive ---

    def arrived(self, stanzas: int, lane: Taker | None = None, last: int = 0) -> Ticket | None:
        """A run has come, and went by this lane up to this number; None where nobody counts."""
        if self._handled is None:
            return None
        self._watch()
        return self._handled.arrived(stanzas, self._loop.time(), lane, last)

    def tell(self) -> None:
        """Tell the peer, if it has asked, what has an outcome by now."""
        handled = self._handled
        if handled is not None and handled.total != self._told:
            self._told = handled.total
            self._core.handled(handled.total)
            self._link.send_due()

    # --- time ---

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_INTERVAL_S, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._handled is not None:
            self._handled.aged(self._loop.time())
            self.tell()
        is_unanswered = self._core.management.is_unacknowledged()
        if is_unanswered:
            self._look_at_question()
        if is_unanswered or (self._handled is not None and self._handled.is_waiting()):
            self._watch()

    def _look_at_question(self) -> None:
        now = self._loop.time()
        if self._asked_at is None or self._unasked:
            self._ask()
            self._link.send_due()
        elif not self._is_delivered():
            self._asked_at = now
        elif now - self._asked_at >= self._core.policy.ack_timeout_s:
            self._link.act(self._core.fail("connection-timeout", "no acknowledgement"))

    def _is_delivered(self) -> bool:
        written, acknowledged = self._link.output()
        return self._link.buffered() == 0 and acknowledged >= written

    def close(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
