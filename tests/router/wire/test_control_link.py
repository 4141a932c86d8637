"""The link over real Unix sockets: framing, bounds, and one report of the end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from router.wire import control_link
from router.wire.control import (
    MAX_MESSAGE_BYTES,
    OLDEST,
    Answer,
    Beat,
    Drain,
    Hello,
    Message,
    Ready,
    Reload,
)
from router.wire.control_codec import encode
from router.wire.control_link import ControlLink, beat, connect
from router.xmpp.errors import MisuseError


@dataclass
class End:
    """One end, and what it was told."""

    received: "asyncio.Queue[Message]" = field(default_factory=asyncio.Queue)
    losses: int = 0
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    link: ControlLink | None = None

    def on_lost(self) -> None:
        self.losses += 1
        self.lost.set()


@dataclass
class Channel:
    path: str
    supervisor: End
    role: End
    accepted: asyncio.Event


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[Channel]:
    made = Channel(str(tmp_path / "control.sock"), End(), End(), asyncio.Event())

    def accept() -> ControlLink:
        end = made.supervisor
        end.link = ControlLink(end.received.put_nowait, end.on_lost)
        made.accepted.set()
        return end.link

    server = await asyncio.get_running_loop().create_unix_server(accept, made.path)
    yield made
    server.close()
    for end in (made.supervisor, made.role):
        if end.link is not None:
            end.link.close()


async def joined(channel: Channel) -> tuple[ControlLink, ControlLink]:
    role = channel.role
    role.link = await connect(channel.path, role.received.put_nowait, role.on_lost)
    await channel.accepted.wait()
    assert channel.supervisor.link is not None
    return channel.supervisor.link, role.link


async def raw(channel: Channel) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_unix_connection(channel.path)
    await channel.accepted.wait()
    return writer


async def test_messages_arrive_in_order_both_ways(channel: Channel) -> None:
    supervisor, role = await joined(channel)
    sent: list[Message] = [Hello("a0.1", 1), Ready(), Answer(1, ({"x": "y" * 3_000_000},))]
    for message in sent:
        role.send(message)
    supervisor.send(Drain(1))
    assert [await channel.supervisor.received.get() for _ in sent] == sent
    assert await channel.role.received.get() == Drain(1)


async def test_messages_are_cut_and_joined_anyhow(channel: Channel) -> None:
    writer = await raw(channel)
    octets = b"".join(
        len(each).to_bytes(4) + each for each in map(encode, (Hello("w0.1", 2), Ready()))
    )
    for place in range(len(octets)):
        writer.write(octets[place : place + 1])
        await writer.drain()
    assert await channel.supervisor.received.get() == Hello("w0.1", 2)
    assert await channel.supervisor.received.get() == Ready()
    writer.close()


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        ((MAX_MESSAGE_BYTES + 1).to_bytes(4), "a message of 8388609 bytes"),
        (b"\0\0\0\1\xc1", "FormatError"),
    ],
)
async def test_what_cannot_be_read_ends_the_link(
    channel: Channel, octets: bytes, fault: str
) -> None:
    writer = await raw(channel)
    writer.write(octets + len(encode(Ready())).to_bytes(4) + encode(Ready()))
    await channel.supervisor.lost.wait()
    assert channel.supervisor.link is not None
    assert fault in channel.supervisor.link.fault
    assert channel.supervisor.received.empty(), "nothing after it is read"
    writer.close()


async def test_the_loss_is_reported_once_and_sending_is_without_effect(channel: Channel) -> None:
    supervisor, role = await joined(channel)
    supervisor.close()
    await channel.role.lost.wait()
    assert not role.is_open
    role.send(Ready())
    role.close()
    assert channel.role.losses == 1
    assert channel.supervisor.losses == 0, "our own close is no loss"


async def test_close_sends_what_is_queued(channel: Channel) -> None:
    _, role = await joined(channel)
    role.send(Answer(1, ({"x": "y" * 3_000_000},)))
    role.close()
    assert isinstance(await channel.supervisor.received.get(), Answer)


async def test_an_other_side_that_reads_nothing_is_given_up(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_link, "_MAX_WAITING_BYTES", 1_000_000)
    reader, writer = await asyncio.open_unix_connection(channel.path, limit=1)
    await channel.accepted.wait()
    link = channel.supervisor.link
    assert link is not None
    for _ in range(4):
        link.send(Answer(1, ({"x": "y" * 2_000_000},)))
    await channel.supervisor.lost.wait()
    assert link.fault == "the other side does not read"
    del reader
    writer.close()


async def test_a_message_too_large_is_misuse(channel: Channel) -> None:
    _, role = await joined(channel)
    with pytest.raises(MisuseError):
        role.send(Answer(1, ({"x": "y" * MAX_MESSAGE_BYTES},)))
    assert role.is_open


async def test_what_the_version_of_the_other_side_lacks_is_not_said_to_it(
    channel: Channel,
) -> None:
    supervisor, _ = await joined(channel)
    supervisor.speaks = OLDEST
    supervisor.send(Reload(1))
    supervisor.send(Drain(2))
    assert await channel.role.received.get() == Drain(2)


async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        await connect(str(tmp_path / "none.sock"), lambda _: None, lambda: None)


async def test_beats_come_until_the_link_ends(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_link, "BEAT_INTERVAL_S", 0.001)
    supervisor, role = await joined(channel)
    counted = iter(range(1_000_000))
    beating: Awaitable[None] = asyncio.create_task(
        beat(role, lambda: (("causeway_bidi_reuse_total", (), next(counted)),))
    )
    received: Callable[[], Awaitable[Message]] = channel.supervisor.received.get
    for number in range(3):
        assert await received() == Beat((("causeway_bidi_reuse_total", (), number),))
    supervisor.close()
    await beating
