"""Hostile connections at a fixed rate: each kind does one wrong thing, and says how it ended.

A process of its own, `python -m bench.flood`, so that its work delays nobody's clock: settings come
as JSON on the command line, the tally goes as JSON to stdout. Started by `hostile`, on loopback
only; every connection comes from another address of 127/8.
"""

import asyncio
import json
import random
import re
import ssl
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

import uvloop

from router.xmpp import names

PATIENCE_S: Final = 10.0
"""What a node may take to end a connection that has done its wrong."""
FORGED: Final = "forged by an intruder"
_ERROR: Final = re.compile(rb"<stream:error><([\w-]+)")
_REFUSED: Final = re.compile(rb"<(failure|db:result [^>]*type=.(?:error|invalid))")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to and how much."""

    host: str
    port: int
    local: str
    """The hosted domain that is attacked."""
    remote: str
    """The domain the intruders say they are."""
    certificate: str
    """PEM of a leaf that no anchor stands behind, and of its key."""
    per_minute: int
    seconds: float
    hold_s: float
    """How long the silent ones stay, if they may."""


@dataclass(slots=True)
class Peer:
    """One hostile connection."""

    settings: Settings
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heard: bytes = b""

    def say(self, text: str | bytes) -> None:
        """Send it."""
        self.writer.write(text.encode() if isinstance(text, str) else text)

    async def until(self, *marks: bytes) -> bool:
        """Read until one of these was said; False when the node ended the connection first."""
        while not any(mark in self.heard for mark in marks):
            octets = await self.reader.read(65_536)
            if not octets:
                return False
            self.heard += octets
        return True

    async def stay(self, share: float) -> None:
        """Be there for this share of the time that the silent ones stay, unless cut off."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.until(b"never"), share * self.settings.hold_s)

    def header(self) -> str:
        """Our stream header."""
        given = self.settings
        return (
            f"<?xml version='1.0'?><stream:stream xmlns='{names.SERVER}'"
            f" xmlns:stream='{names.STREAMS}' xmlns:db='{names.DIALBACK}'"
            f" from='{given.remote}' to='{given.local}' version='1.0'>"
        )

    async def secure(self, certificate: str = "") -> None:
        """STARTTLS and a second header."""
        self.say(self.header() + f"<starttls xmlns='{names.TLS}'/>")
        await self.until(b"<proceed")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(certificate)
        await self.writer.start_tls(context, server_hostname=self.settings.local)
        self.heard = b""
        self.say(self.header())
        await self.until(b"</stream:features>")
        self.heard = b""

    def stanza(self) -> str:
        """What must never arrive."""
        given = self.settings
        return (
            f"<message from='a@{given.remote}' to='b@{given.local}'><body>{FORGED}</body></message>"
        )

    def ended(self, node_closed: bool) -> str:
        """In a word or two."""
        if found := _ERROR.search(self.heard):
            return found[1].decode()
        if _REFUSED.search(self.heard):
            return "refused"
        return "closed by the node" if node_closed else "left by us"


async def half_open(peer: Peer) -> None:
    """Say nothing at all."""
    await peer.stay(1)


async def slow_header(peer: Peer) -> None:
    """A header, an octet at a time."""
    for octet in peer.header()[:40]:
        peer.say(octet)
        await peer.stay(1 / 40)


async def garbage(peer: Peer) -> None:
    """No XML."""
    peer.say(random.randbytes(2000))
    await peer.until(b"never")


async def oversize(peer: Peer) -> None:
    """A header without an end."""
    peer.say(peer.header()[:-1] + " a='" + "x" * 200_000)
    await peer.until(b"never")


async def no_handshake(peer: Peer) -> None:
    """STARTTLS, and then something that is no TLS."""
    peer.say(peer.header() + f"<starttls xmlns='{names.TLS}'/>")
    if await peer.until(b"<proceed"):
        peer.say(b"\x16\x03\x01\x01\x00\xff" + random.randbytes(255))
        await peer.until(b"never")


async def half_handshake(peer: Peer) -> None:
    """STARTTLS, and then the beginning of a TLS record, and silence."""
    peer.say(peer.header() + f"<starttls xmlns='{names.TLS}'/>")
    if await peer.until(b"<proceed"):
        peer.say(b"\x16\x03\x01\x01\x00\x01")
        await peer.stay(1)


async def injection(peer: Peer) -> None:
    """A stanza in the same segment as STARTTLS."""
    peer.say(peer.header() + f"<starttls xmlns='{names.TLS}'/>" + peer.stanza())
    await peer.until(b"never")


async def unauthenticated(peer: Peer) -> None:
    """A stanza before any proof, inside TLS."""
    await peer.secure()
    peer.say(peer.stanza())
    await peer.until(b"never")


async def dialback_flood(peer: Peer) -> None:
    """Keys of many domains that do not exist, and a stanza from each."""
    await peer.secure()
    given = peer.settings
    domains = [f"d{random.randrange(10**9)}.invalid" for _ in range(20)]
    peer.say(
        "".join(
            f"<db:result from='{it}' to='{given.local}'>{'0' * 64}</db:result>" for it in domains
        )
    )
    with suppress(TimeoutError):
        await asyncio.wait_for(peer.until(b"</stream:stream>"), 3)
    peer.say(peer.stanza())
    await peer.until(b"</stream:stream>")


async def wrong_certificate(peer: Peer) -> None:
    """EXTERNAL for a domain, by a certificate that nobody vouches for."""
    await peer.secure(peer.settings.certificate)
    peer.say(f"<auth xmlns='{names.SASL}' mechanism='EXTERNAL'>=</auth>{peer.stanza()}")
    await peer.until(b"</stream:stream>")


async def bad_sasl(peer: Peer) -> None:
    """Mechanisms nobody offered."""
    await peer.secure()
    for mechanism in ("PLAIN", "EXTERNAL", "X"):
        peer.say(f"<auth xmlns='{names.SASL}' mechanism='{mechanism}'>AGEAYg==</auth>")
    peer.say(peer.stanza())
    await peer.until(b"</stream:stream>")


Attack = Callable[[Peer], Awaitable[None]]
ATTACKS: Final[tuple[Attack, ...]] = (
    half_open,
    slow_header,
    garbage,
    oversize,
    no_handshake,
    half_handshake,
    injection,
    unauthenticated,
    dialback_flood,
    wrong_certificate,
    bad_sasl,
)


async def attack(settings: Settings, number: int) -> tuple[str, str]:
    """One connection, from the beginning to its end: its kind, and how it ended."""
    kind = ATTACKS[number % len(ATTACKS)]
    source = f"127.{number // 60_000 % 200 + 1}.{number // 250 % 240}.{number % 250 + 1}"
    try:
        reader, writer = await asyncio.open_connection(
            settings.host, settings.port, local_addr=(source, 0)
        )
    except OSError as error:
        return kind.__name__, f"not connected: {type(error).__name__}"
    peer = Peer(settings, reader, writer)
    try:
        async with asyncio.timeout(settings.hold_s + PATIENCE_S):
            await kind(peer)
        return kind.__name__, peer.ended(reader.at_eof())
    except TimeoutError:
        return kind.__name__, "still open: given up"
    except (OSError, asyncio.IncompleteReadError) as error:
        closed = isinstance(error, ConnectionError | ssl.SSLError)
        return kind.__name__, peer.ended(True) if closed else type(error).__name__
    finally:
        writer.close()
        with suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 1)


async def flood(settings: Settings) -> dict[str, dict[str, int]]:
    """Connections by the schedule, whatever becomes of them; how many of each kind ended how."""
    loop = asyncio.get_running_loop()
    began_s, period_s = loop.time(), 60 / settings.per_minute
    under_way: set[asyncio.Task[tuple[str, str]]] = set()
    tally: dict[str, Counter[str]] = {each.__name__: Counter() for each in ATTACKS}

    def done(task: asyncio.Task[tuple[str, str]]) -> None:
        under_way.discard(task)
        kind, end = ("?", "cancelled") if task.cancelled() else task.result()
        tally.setdefault(kind, Counter())[end] += 1

    for number in range(int(settings.seconds / period_s)):
        await asyncio.sleep(max(0.0, began_s + number * period_s - loop.time()))
        task = loop.create_task(attack(settings, number))
        under_way.add(task)
        task.add_done_callback(done)
    while under_way:
        await asyncio.wait(under_way)
    return {kind: dict(ends) for kind, ends in tally.items() if ends}


async def in_a_process(settings: Settings) -> tuple[dict[str, dict[str, int]], float]:
    """Run `flood` in a process of its own: its tally, and the CPU seconds it took.

    Raises RuntimeError with what the process wrote when it failed.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.hostile.flood",
        json.dumps(asdict(settings)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, trouble = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise RuntimeError(f"the flood failed: {trouble.decode(errors='replace')[-2000:]}")
    found = json.loads(output)
    return found["tally"], found["cpu_s"]


def main() -> None:
    """The process: settings from the command line, tally to stdout."""
    settings = Settings(**json.loads(sys.argv[1]))
    tally = uvloop.run(flood(settings))
    json.dump({"tally": tally, "cpu_s": time.process_time()}, sys.stdout)


if __name__ == "__main__":
    main()
