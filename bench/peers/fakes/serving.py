"""`causeway bench fake`: one fake in the foreground, for replaying a peer's quirk on a router."""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.peers.fakes.fake import Entry, Fake


def address(text: str) -> tuple[str, int]:
    """HOST:PORT, an IPv6 address in brackets. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ValueError(f"not HOST:PORT: {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def route(text: str) -> tuple[str, tuple[str, int]]:
    """DOMAIN=HOST:PORT. Raises ValueError."""
    domain, equals, where = text.partition("=")
    if not (equals and domain):
        raise ValueError(f"not DOMAIN=HOST:PORT: {text!r}")
    return domain.lower(), address(where)


async def serve(
    name: str,
    domain: str,
    *,
    listen: tuple[str, int],
    certificate: Path,
    key: Path,
    trust_anchors: Path | None,
    also: Sequence[str],
    peers: Mapping[str, tuple[str, int]],
    send: Sequence[str],
    transcript: bool,
    say: Callable[[str], None],
) -> None:
    """Until SIGINT or SIGTERM. `send`: stanzas to send at once; `transcript`: say every element."""

    def show(entry: Entry) -> None:
        if transcript:
            say(str(entry))

    ends = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ends.set)
    async with Fake(
        name,
        domain,
        certificate=certificate,
        key=key,
        trust_anchors=trust_anchors,
        also=also,
        peers=peers,
        listen=listen,
        show=show,
    ) as fake:
        say(f"{name} for {domain} listens on {listen[0]} port {fake.port}")
        for stanza in send:
            fake.send_stanza(stanza)
        await ends.wait()
