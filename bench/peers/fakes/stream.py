"""What every stream of a fake does: reading, writing, restarting, ending; and whom it serves.

One task for each stream runs `run`. The roles and dialback are built on top: `verifying`, then
`accepting` and `dialling`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol

from OpenSSL import SSL

from bench.peers.fakes import words
from bench.peers.fakes.judgement import Judge
from bench.peers.fakes.link import Link, TlsFailed
from bench.peers.fakes.profiles import Profile
from bench.peers.fakes.reading import Element, End, Header, Reader


class Pair(NamedTuple):
    """Who speaks to whom."""

    sender: str
    target: str

    def inverse(self) -> "Pair":
        """The other direction."""
        return Pair(self.target, self.sender)


class Server(Protocol):
    """What a stream wants of its server."""

    profile: Profile
    domains: frozenset[str]
    secret: str
    judge: Judge
    presents_certificate: bool
    refuses: dict[str, str]
    idle_timeout_s: float | None
    server_context: SSL.Context
    client_context: SSL.Context

    def record(self, stream: "Stream", direction: str, text: str) -> None:
        """An element, or another thing, went "out" or came "in"."""

    def received(self, stream: "Stream", stanza: Element) -> None:
        """A stanza of a proved sender."""

    def may_send(self, stream: "Stream", pair: Pair) -> None:
        """Stanzas of `pair` may leave on this stream from now on."""

    def refused(self, stream: "Stream", pair: Pair, condition: str) -> None:
        """The other side did not accept our key for `pair`."""

    def ended(self, stream: "Stream") -> None:
        """The connection is closed."""

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this meanwhile."""

    async def verify(self, pair: Pair, stream_id: str, key: str) -> str:
        """Ask the domain that sends `pair` about a key: "valid", "invalid" or a condition."""


class Stream:
    """One connection, from its first octet to its end. `initiated`: we opened it."""

    def __init__(self, server: Server, link: Link, number: int, *, initiated: bool) -> None:
        self.server = server
        self.profile = server.profile
        self.number = number
        self.initiated = initiated
        self.local = self.remote = self.id = ""
        self.mechanism = ""
        self.is_bidi = False
        self.is_closing = False
        self.is_over = False
        self.sends: set[Pair] = set()
        self.receives: set[Pair] = set()
        self.error = ""
        self.link = link
        self.reader = Reader()
        self.wants_tls = False
        self._idle: asyncio.TimerHandle | None = None
        self._is_taking = False
        self._due: list[str] = []

    async def run(self) -> None:
        """Until the connection ends."""
        try:
            self._touch(is_sending=self.initiated)
            self.begin()
            while octets := await self.link.read():
                self._touch(is_sending=False)
                self._is_taking = True
                self._take(octets)
                self._is_taking = False
                self._flush()
                if self.is_over:
                    break
                if self.wants_tls:
                    await self._start_tls()
        except TlsFailed as error:
            self.error = str(error)
            self.server.record(self, "in", f"TLS failed: {error}")
        finally:
            self.is_over = self.is_closing = True
            if self._idle is not None:
                self._idle.cancel()
            self.link.close()
            self.server.ended(self)

    @property
    def header_pair(self) -> Pair:
        """What we would send by the stream's header."""
        return Pair(self.local, self.remote)

    def write(self, *elements: str) -> None:
        """Send these in one go, with all else that answers one read; nothing after the closing tag.

        So what a server says in one breath comes in one segment.
        """
        if self.is_closing:
            return
        self._touch(is_sending=True)
        for element in elements:
            self.server.record(self, "out", element)
        self._due += elements
        if not self._is_taking:
            self._flush()

    def fail(self, condition: str) -> None:
        """End the stream with an error."""
        end = "</stream:close>" if self.profile.writes_wrong_closing_tag else words.END
        self.error = condition
        self.write(words.stream_error(condition), end)
        self.is_closing = self.is_over = True
        self._flush()
        self.link.close()

    def close(self) -> None:
        """End the stream in order: the other side's closing tag is waited for."""
        self.write(words.END)
        self.is_closing = True

    def restart(self) -> None:
        """A new stream on the same connection."""
        self.reader = Reader()
        self.id = ""

    # --- what the roles fill in ---

    def begin(self) -> None:
        """The connection stands."""

    def received_header(self, header: Header) -> None:
        """The other side's opening tag."""

    def received_element(self, element: Element) -> None:
        """A top-level element other than a stream error."""

    def secured(self) -> None:
        """TLS stands."""

    # --- inside ---

    def _take(self, octets: bytes) -> None:
        reader = self.reader
        limit = self.profile.max_bytes_before_proof
        for item in reader.feed(octets):
            if isinstance(item, Header):
                self.server.record(self, "in", item.octets)
                self.received_header(item)
            elif isinstance(item, End):
                self._received_end(item)
            else:
                self.server.record(self, "in", item.octets)
                if limit and not self._is_proved and len(item.octets) > limit:
                    self.fail("policy-violation")
                elif (item.namespace, item.name) == (words.STREAMS, "error"):
                    self._received_error(item)
                else:
                    self.received_element(item)
            if self.is_over or self.reader is not reader:
                return
        if limit and not self._is_proved and reader.unread_bytes > limit:
            self.fail("policy-violation")

    def _flush(self) -> None:
        due, self._due = self._due, []
        if due:
            self.link.write("".join(due).encode())

    @property
    def _is_proved(self) -> bool:
        return bool(self.sends or self.receives)

    def _received_end(self, end: End) -> None:
        self.server.record(self, "in", end.fault or words.END)
        if end.fault:
            self.fail("not-well-formed")
            return
        self.write(words.END)
        self.is_over = True

    def _received_error(self, error: Element) -> None:
        self.error = error.children[0].name if error.children else "undefined-condition"
        self.write(words.END)
        self.is_over = True

    async def _start_tls(self) -> None:
        self.wants_tls = False
        context = self.server.client_context if self.initiated else self.server.server_context
        await self.link.start_tls(context, server_side=not self.initiated, server_name=self.remote)
        self.is_bidi = False
        self.restart()
        self.secured()

    def _touch(self, *, is_sending: bool) -> None:
        """A sign of life, if the profile counts it as one."""
        timeout_s = self.server.idle_timeout_s
        ignored = self.profile.counts_one_way_only_as_life and is_sending != self.initiated
        if timeout_s is None or ignored:
            return
        if self._idle is not None:
            self._idle.cancel()
        end: Callable[[str], None] = self.fail
        loop = asyncio.get_running_loop()
        self._idle = loop.call_later(timeout_s, end, "connection-timeout")
