"""A XEP-0114 component fast enough to load a node, which reads every stanza it gets.

Answers pings, hands numbered messages to a `bench.traffic.Record`, and keeps everything else.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple
from xml.parsers import expat

from bench.traffic import Record, Route

HOST = "127.0.0.1"
PATIENCE_S = 20.0
CHUNK_STANZAS = 50
KEPT_BYTES = 4096
PING = "<ping xmlns='urn:xmpp:ping'/>"
_STREAM_ID = re.compile(rb"<stream:stream[^>]* id=['\"]([^'\"]+)['\"]")
_NUMBER = re.compile(r"n(\d+)")


class Got(NamedTuple):
    """A stanza: its name, its attributes, and the conditions and names of all within it."""

    name: str
    attributes: dict[str, str]
    inside: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The type attribute."""
        return self.attributes.get("type", "")


class Component:
    """An attached component. `numbers` has the numbers of messages in the order they came.

    `others` holds what is neither a numbered message nor a ping, `raw` the last octets that came.
    """

    def __init__(self, domain: str, record: Record | None = None) -> None:
        self.domain = domain
        self.record = record or Record(0, 0)
        self.numbers: list[int] = []
        self.others: list[Got] = []
        self.raw = b""
        self.ended = asyncio.Event()
        self._changed = asyncio.Event()
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._depth = 0
        self._stanza: Got | None = None
        self._inside: list[str] = []
        self._answers: list[str] = []
        self._reading: asyncio.Task[None] | None = None

    async def attach(self, port: int, secret: str) -> None:
        """Connect and shake hands. Raises ConnectionError with the node's words when refused."""
        self._reader, self._writer = await asyncio.open_connection(HOST, port, limit=1 << 20)
        try:
            self.write(
                f"<stream:stream xmlns='jabber:component:accept' to='{self.domain}'"
                " xmlns:stream='http://etherx.jabber.org/streams'>"
            )
            head = await self._until(lambda: _STREAM_ID.search(self.raw) is not None)
            found = _STREAM_ID.search(head)
            assert found is not None
            digest = hashlib.sha1(found[1] + secret.encode()).hexdigest()
            self.write(f"<handshake>{digest}</handshake>")
            await self._until(lambda: b"<handshake" in self.raw or b"stream:error" in self.raw)
        except BaseException:
            await self.close()
            raise
        if b"<handshake" not in self.raw:
            await self.close()
            raise ConnectionRefusedError(self.raw.decode())
        self._reading = asyncio.create_task(self._read())

    async def _until(self, holds: Callable[[], bool]) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                octets = await self._reader.read(4096)
                if not octets:
                    raise ConnectionRefusedError(self.raw.decode())
                self.raw += octets
                self._parser.Parse(octets)
        return self.raw

    async def _read(self) -> None:
        with suppress(ConnectionError):
            while octets := await self._reader.read(1 << 16):
                self.raw = self.raw[-KEPT_BYTES:] + octets[-KEPT_BYTES:]
                self._parser.Parse(octets)
                if self._answers:
                    self.write("".join(self._answers))
                    self._answers.clear()
                    await self._writer.drain()
                self._changed.set()
        self.ended.set()
        self._changed.set()

    # --- what comes ---

    @property
    def arrived(self) -> int:
        """How many numbered messages have come."""
        return len(self.numbers)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        local = name.rpartition(" ")[2]
        if self._depth == 2:
            self._stanza = Got(local, attributes, ())
            self._inside = []
        elif self._depth > 2:
            self._inside.append(local)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 1 and self._stanza is not None:
            self._take(self._stanza._replace(inside=tuple(self._inside)))

    def _take(self, got: Got) -> None:
        given = got.attributes
        if got.name == "message" and got.kind != "error" and (n := _NUMBER.match(given["id"])):
            self.numbers.append(int(n[1]))
            self.record.arrive(Route(given["from"], given["to"]), int(n[1]))
        elif got.name == "iq" and got.kind == "get" and "ping" in got.inside:
            self._answers.append(
                f"<iq type='result' id='{given['id']}' from='{given['to']}' to='{given['from']}'/>"
            )
        elif got.name == "iq" and got.kind == "result" and given["id"].startswith("p"):
            self.record.pings_answered += 1
        elif got.name != "handshake":
            if got.kind == "error":
                self.record.refuse(f"{got.name} from {given['from']}: {got.inside}")
            self.others.append(got)

    # --- what goes ---

    def write(self, text: str) -> None:
        """Send octets."""
        self._writer.write(text.encode())

    async def send(self, text: str) -> None:
        """Send octets, and wait while the node takes no more."""
        self.write(text)
        await self._writer.drain()

    async def send_numbered(self, routes: list[Route], messages: int, pings: int) -> None:
        """So many messages, round robin over the routes, with the pings spread evenly among them.

        As fast as the node takes them.
        """
        every = max(1, messages // pings) if pings else messages + 1
        chunk = []
        for index in range(messages):
            route = routes[index % len(routes)]
            number = self.record.send(route)
            chunk.append(
                f"<message from='{route.sender}' to='{route.target}' id='n{number}' type='chat'>"
                f"<body>{number}</body></message>"
            )
            if index % every == every - 1 and self.record.pings_sent < self.record.pings_planned:
                self.record.pings_sent += 1
                chunk.append(
                    f"<iq type='get' id='p{self.record.pings_sent}' from='{route.sender}'"
                    f" to='{route.target}'>{PING}</iq>"
                )
            if len(chunk) >= CHUNK_STANZAS:
                await self.send("".join(chunk))
                chunk.clear()
        await self.send("".join(chunk))

    async def until(self, holds: Callable[[], bool], limit_s: float = PATIENCE_S) -> None:
        """Wait until something that this component receives makes it so."""
        async with asyncio.timeout(limit_s):
            while not holds():
                if self.ended.is_set():
                    raise AssertionError("the component's stream has ended")
                self._changed.clear()
                await self._changed.wait()

    async def ask(self, text: str, wait: Callable[[Got], bool]) -> Got:
        """Send a stanza and return the first thing from now on that satisfies `wait`."""
        begin = len(self.others)
        self.write(text)
        await self.until(lambda: any(map(wait, self.others[begin:])))
        return next(got for got in self.others[begin:] if wait(got))

    async def until_closing(self) -> None:
        """Wait for the node's closing tag; it may be sent on until we close ourselves."""
        await self.until(lambda: self.raw.endswith(b"</stream:stream>"))

    async def gone(self) -> None:
        """Wait for the end of the stream."""
        async with asyncio.timeout(PATIENCE_S):
            await self.ended.wait()

    def abort(self) -> None:
        """Reset the connection."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """End the stream, or what there is of it, and wait for the node to do the same."""
        if self._reading is not None:
            if not self._writer.is_closing():
                self.write("</stream:stream>")
            await self.gone()
            await self._reading
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


@asynccontextmanager
async def attached(
    domain: str, secret: str, port: int, record: Record | None = None
) -> AsyncIterator[Component]:
    """A component for as long as the block lasts."""
    component = Component(domain, record)
    await component.attach(port, secret)
    try:
        yield component
    except BaseException:
        component.abort()  # whatever is wrong, the node may not be able to close in order
        raise
    finally:
        await component.close()


async def settled(look: Callable[[], Awaitable[bool]], limit_s: float = PATIENCE_S) -> None:
    """Wait until this holds; other processes bring it about and have no way to call us."""
    async with asyncio.timeout(limit_s):
        while not await look():  # noqa: ASYNC110 - no event reaches us from other processes
            await asyncio.sleep(0.02)


def faults(record: Record) -> dict[str, int]:
    """What went wrong so far, by kind; empty when nothing did."""
    found = record.findings()
    kinds = ("lost", "duplicated", "reordered", "unexpected", "unanswered", "refused")
    return {kind: getattr(found, kind) for kind in kinds if getattr(found, kind)}
