"""A fake server as a whole: it listens, dials, routes, answers pings, and keeps a transcript.

For tests: `async with Fake("metre", "capulet.example", …) as fake: await fake.until(…)`. The
command is in `serving`.
"""

import asyncio
import secrets
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from bench.peers.fakes import words
from bench.peers.fakes.accepting import AcceptedStream
from bench.peers.fakes.dialling import DialledStream
from bench.peers.fakes.judgement import Judge
from bench.peers.fakes.link import Link, client_context, server_context
from bench.peers.fakes.profiles import PROFILES, Profile
from bench.peers.fakes.reading import Element, Reader
from bench.peers.fakes.routes import QUEUED_STANZAS, Route
from bench.peers.fakes.stream import Pair, Stream
from bench.peers.fakes.verifying import ServerStream, pair_of

HOST: Final = "127.0.0.1"
ECHO: Final = "echo"
PATIENCE_S: Final = 20.0
_KEPT: Final = 10_000
_SHOWN: Final = 60
_CLOSE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the transcript: what went "out" or came "in" on the stream of this number."""

    stream: int
    initiated: bool
    direction: str
    text: str

    def __str__(self) -> str:
        """One line, whatever is in the text."""
        text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in self.text)
        opened_by = "ours" if self.initiated else "theirs"
        return f"#{self.stream} {opened_by:6} {'>>' if self.direction == 'out' else '<<'} {text}"


class Fake:
    """One server that behaves as its profile says, from `async with` to its end.

    `listen`: (host, port), or a socket that is bound. `also`: further domains it hosts. `peers`
    maps a remote domain to the (host, port) that takes STARTTLS. `trust_anchors`: the CA whose
    certificates prove peers; None: none does. `refuses` maps a domain of its own to the condition
    with which keys for it are refused. `connections` has every stream there ever was, `stanzas` all
    that came, `bounces` what could not be sent. While `may_accept` or `may_dial` is cleared,
    connections wait.
    """

    def __init__(
        self,
        profile: str | Profile,
        domain: str,
        *,
        certificate: Path,
        key: Path | None = None,
        trust_anchors: Path | None = None,
        also: Sequence[str] = (),
        peers: Mapping[str, tuple[str, int]] | None = None,
        listen: tuple[str, int] | socket.socket = (HOST, 0),
        refuses: Mapping[str, str] | None = None,
        presents_certificate: bool = True,
        idle_timeout_s: float | None = None,
        show: Callable[[Entry], None] = lambda entry: None,
    ) -> None:
        self.profile = PROFILES[profile] if isinstance(profile, str) else profile
        self.domain = domain
        self.domains = frozenset((domain, *also))
        self.peers = dict(peers or {})
        self.refuses = dict(refuses or {})
        self.presents_certificate = presents_certificate
        self.idle_timeout_s = idle_timeout_s
        self.secret = secrets.token_hex(16)
        self.judge = Judge(trust_anchors)
        key = key or certificate.with_suffix(".key")
        self.server_context = server_context(certificate, key)
        self.client_context = client_context(certificate if presents_certificate else None, key)
        self.port = 0
        self.transcript: deque[Entry] = deque(maxlen=_KEPT)
        self.connections: deque[ServerStream] = deque(maxlen=_KEPT)
        self.stanzas: deque[Element] = deque(maxlen=_KEPT)
        self.bounces: deque[str] = deque(maxlen=_KEPT)
        self._listen = listen
        self._show = show
        self._routes: dict[Pair, Route] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._failure: BaseException | None = None
        self.may_accept, self.may_dial = asyncio.Event(), asyncio.Event()
        self.may_accept.set()
        self.may_dial.set()

    # --- life ---

    async def __aenter__(self) -> Self:
        """Listen."""
        if isinstance(self._listen, socket.socket):
            self._server = await asyncio.start_server(self._accepted, sock=self._listen)
        else:
            self._server = await asyncio.start_server(self._accepted, *self._listen)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *failure: object) -> None:
        """Close every stream in order, or else break it."""
        self._server.close()
        for stream in self.streams:
            if stream.id and stream.link.is_encrypted:
                stream.close()
            else:  # a closing tag would come amid the negotiation
                stream.link.abort()
        with suppress(TimeoutError):
            await self.until(lambda: not self.streams, _CLOSE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def until(self, holds: Callable[[], bool], limit_s: float = PATIENCE_S) -> None:
        """Wait until something that comes or goes makes it so.

        Raises TimeoutError, with the end of the transcript in it.
        """
        try:
            async with asyncio.timeout(limit_s):
                while not holds():
                    if self._failure is not None:
                        raise self._failure
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            last = list(self.transcript)[-_SHOWN:]
            raise TimeoutError("\n".join((self.profile.name, *map(str, last)))) from None

    # --- what a test or an operator wants ---

    @property
    def streams(self) -> list[ServerStream]:
        """The streams that stand."""
        return [stream for stream in self.connections if not stream.is_over]

    def send_stanza(self, text: str) -> None:
        """Send a stanza by its addresses, opening a stream if there is none."""
        stanza = element_of(text)
        self._send(pair_of(stanza), stanza.get("from").partition("/")[0], text)

    def said(self, text: str, direction: str = "in") -> list[Entry]:
        """The entries of the transcript that contain this, as they came in or went out."""
        found = (entry for entry in self.transcript if text in entry.text)
        return [entry for entry in found if entry.direction == direction]

    async def heard(self, text: str, times: int = 1) -> Entry:
        """Wait until this has come so many times; the last such entry."""
        await self.until(lambda: len(self.said(text)) >= times)
        return self.said(text)[times - 1]

    # --- what its streams want ---

    def record(self, stream: Stream, direction: str, text: str) -> None:
        """Keep and show a line of the transcript."""
        entry = Entry(stream.number, stream.initiated, direction, text)
        self.transcript.append(entry)
        self._show(entry)
        self._changed.set()

    def received(self, stream: Stream, stanza: Element) -> None:
        """Keep it, and answer what wants an answer."""
        self.stanzas.append(stanza)
        self._changed.set()
        reply = _reply(stanza)
        if not reply:
            return
        back = stream.header_pair if self.profile.replies_by_stream else pair_of(stanza).inverse()
        self._send(back, stanza.get("to").partition("/")[0], reply)

    def may_send(self, stream: Stream, pair: Pair) -> None:
        """What waits for the pair leaves on the stream, if the profile does so."""
        route = self._route(pair)
        if isinstance(stream, ServerStream) and route.add(stream):
            for text in route.take_queue():
                stream.write(text)
        self._changed.set()

    def refused(self, stream: Stream, pair: Pair, condition: str) -> None:
        """Give up what waits for the pair."""
        route = self._route(pair)
        route.is_opening = False
        self.bounces += route.take_queue()
        self._changed.set()

    def ended(self, stream: Stream) -> None:
        """Forget the stream, as far as the profile does."""
        self._changed.set()
        if not isinstance(stream, ServerStream):
            return
        of_stream = [pair for pair, route in self._routes.items() if stream in route.streams]
        if self.profile.leaves_stale_rows:
            of_stream = of_stream[:1]
        for pair in of_stream:
            self._routes[pair].remove(stream)
        if stream.initiated and not stream.sends and not stream.for_keys:
            self.refused(stream, stream.header_pair, "remote-server-timeout")

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this meanwhile; a failure is the server's."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def verify(self, pair: Pair, stream_id: str, key: str) -> str:
        """Dial back: on a stream of our own that we prove first, or on one for nothing else."""
        back = pair.inverse()
        if self.profile.verifies_on_its_own_stream:
            stream = await self._own(back)
            return await stream.ask(pair, stream_id, key) if stream else "remote-server-not-found"
        choices = (True, False) if self.profile.verifies_in_plaintext else (True,)
        for uses_tls in choices:
            transient = await self._connected(back, for_keys=True, uses_tls=uses_tls)
            if transient is None:
                continue
            await self.until(lambda: transient.ready.is_set() or transient.is_over)  # noqa: B023
            if not transient.is_over:
                verdict = await transient.ask(pair, stream_id, key)
                transient.close()
                return verdict
        return "remote-server-timeout"

    # --- sending ---

    def _route(self, pair: Pair) -> Route:
        return self._routes.setdefault(pair, Route(self.profile))

    def _send(self, pair: Pair, sender: str, text: str) -> None:
        route = self._route(pair)
        stream = route.stream(sender)
        if stream is not None and not stream.is_closing:
            stream.write(text)
        elif len(route.queue) < QUEUED_STANZAS:
            route.queue.append(text)
            self._open(pair)
        else:
            self.bounces.append(text)

    def _open(self, pair: Pair) -> None:
        """Have a way for the pair."""
        route = self._route(pair)
        if route.is_opening:
            return
        route.is_opening = True
        shared = self._shared(pair)
        if shared is not None:
            shared.write(shared.send_key(pair))
        else:
            self.start(self._dial(pair))

    def _shared(self, pair: Pair) -> ServerStream | None:
        """A stream to the same server on which the pair may be proved, by the profile's lights."""
        for stream in self.streams:
            if stream.is_closing or not stream.id:
                continue
            address = self.peers.get(pair.target)
            same = address is not None and self.peers.get(stream.remote) == address
            ours = stream.initiated and self.profile.piggybacks and bool(stream.sends) and same
            reverse = self.profile.asks_reverse_dialback and not stream.initiated
            proved = any(known.sender == pair.target for known in stream.receives)
            if ours or (reverse and stream.is_bidi and proved):
                return stream
        return None

    async def _dial(self, pair: Pair) -> None:
        if await self._connected(pair) is None:
            route = self._route(pair)
            route.is_opening = False
            self.bounces += route.take_queue()
            self._changed.set()

    async def _own(self, pair: Pair) -> ServerStream | None:
        """A stream of our own for the pair; one that has to be opened is proved first."""
        route = self._route(pair)

        def own() -> list[ServerStream]:
            """A key that is under way is enough: a question may follow it."""
            known = [each for each in self.streams if each.initiated and not each.is_closing]
            return [each for each in known if pair in each.sends or each.has_sent_key(pair)]

        if found := own():
            return found[0]
        self._open(pair)
        await self.until(lambda: not route.is_opening)
        return next((each for each in own() if pair in each.sends), None)

    async def _connected(
        self, pair: Pair, *, for_keys: bool = False, uses_tls: bool = True
    ) -> DialledStream | None:
        """A new stream, begun; None when nobody is there."""
        await self.may_dial.wait()
        try:
            host, port = self.peers[pair.target]
            link = Link(*await asyncio.open_connection(host, port))
        except (KeyError, OSError):
            return None
        number = len(self.connections) + 1
        stream = DialledStream(self, link, number, pair, for_keys=for_keys, uses_tls=uses_tls)
        self.connections.append(stream)
        self.start(stream.run())
        return stream

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.start(self._served(Link(reader, writer)))

    async def _served(self, link: Link) -> None:
        try:
            await self.may_accept.wait()
        except asyncio.CancelledError:
            link.abort()
            raise
        stream = AcceptedStream(self, link, len(self.connections) + 1)
        self.connections.append(stream)
        await stream.run()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failure = failure
            self._changed.set()


def element_of(text: str) -> Element:
    """The one stanza in this text. Raises ValueError for anything else."""
    items = list(Reader().feed((words.header("a", "b") + text).encode()))
    match items:
        case [_, Element() as stanza] if stanza.name in words.STANZAS:
            return stanza
    raise ValueError(f"not a stanza: {text}")


def _reply(stanza: Element) -> str:
    """What a server's modules answer by themselves: pings, unknown queries, and an echo."""
    kind = stanza.get("type")
    back = words.attributes(
        from_=stanza.get("to"), to=stanza.get("from"), id=stanza.attributes.get("id")
    )
    if stanza.name == "iq" and kind in ("get", "set"):
        if stanza.find("ping", words.PING) is not None:
            return f"<iq type='result'{back}/>"
        return f"<iq type='error'{back}>{words.stanza_error('service-unavailable')}</iq>"
    is_echo = stanza.get("to").partition("@")[0] == ECHO
    if stanza.name == "message" and kind != "error" and is_echo:
        body = stanza.find("body")
        text = f"<body>{words.escaped(body.text)}</body>" if body is not None else ""
        return f"<message{back}{words.attributes(type=kind or None)}>{text}</message>"
    return ""
