"""An in-band bytestream under a layer: octets, back-pressure, what is acknowledged, and endings."""

import asyncio
from typing import Any

import pytest

from router.acceptor.e2e.in_band import InBandTransport
from router.acceptor.layer import CHUNK_BYTES
from router.acceptor.plain import PlainLayer
from router.xmpp.bytestreams.ibb import InBandBytestream, Role, Terms
from router.xmpp.bytestreams.ibb_events import Closed, CloseReason, DataReceived
from router.xmpp.bytestreams.ibb_table import InBandBytestreams
from router.xmpp.bytestreams.ibb_window import WindowLimits
from router.xmpp.stanza import cut
from tests.support.acceptors import Changing
from tests.support.pump import ids

HERE, THERE = "relay.montague.example", "relay.capulet.example"


class End(Changing):
    """One end: a bytestream, its transport, a layer, and an upper that writes down."""

    def __init__(self, local: str, peer: str, role: Role, window: WindowLimits) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self.other: End
        self.got = b""
        self.log: list[str] = []
        self.is_cut = False
        terms = Terms(local, peer, "sid", 4096, window=window)
        self.table = InBandBytestreams()
        self.stream = InBandBytestream(terms, role, ids(), loop.time())
        self.table.add(self.stream)
        self.transport = InBandTransport(loop, self.stream, self.send)
        upper: Any = self
        transport: Any = self.transport
        self.layer = PlainLayer(transport, upper)
        self._loop = loop

    def send(self, stream: InBandBytestream) -> None:
        for octets in stream.stanzas_to_send():
            if not self.is_cut:
                self._loop.call_soon(self.other.take, octets)

    def take(self, octets: bytes) -> None:
        received = self.table.receive(next(cut(octets)), self._loop.time())
        self.transport.happened(received.events)
        self.send(self.stream)

    def data_received(self, octets: bytes) -> None:
        assert len(octets) <= CHUNK_BYTES
        self.got += octets
        self.changed()

    def eof_received(self, clean: bool) -> None:
        self.log.append("end")
        self.changed()

    def connection_lost(self, error: Exception | None) -> None:
        self.log.append("lost" if error is None else f"broken: {error}")
        self.changed()

    def pause_writing(self) -> None:
        self.log.append("pause")

    def resume_writing(self) -> None:
        self.log.append("resume")
        self.changed()


@pytest.fixture
async def ends() -> tuple[End, End]:
    window = WindowLimits(full_at_bytes=16_384)
    here = End(HERE, THERE, Role.OPENS, window)
    there = End(THERE, HERE, Role.EXPECTS_OPEN, window)
    here.other, there.other = there, here
    here.send(here.stream)
    return here, there


OCTETS = bytes(range(256)) * 1000


async def test_octets_arrive_in_order_and_are_acknowledged(ends: tuple[End, End]) -> None:
    here, there = ends
    here.layer.write(OCTETS)
    there.layer.write(b"back")
    await there.until(lambda: there.got == OCTETS)
    await here.until(lambda: here.got == b"back" and "resume" in here.log)
    asked = here.transport.get_extra_info("tcp_info")
    assert asked().acknowledged == here.layer.written() == len(OCTETS)
    assert here.layer.buffered() == 0
    assert here.transport.get_extra_info("socket") is None


@pytest.mark.clause("IBB-05")
async def test_who_reads_nothing_stops_the_writer(ends: tuple[End, End]) -> None:
    here, there = ends
    await here.until(lambda: True)
    there.layer.pause_reading()
    here.layer.write(OCTETS)
    here.layer.flush()
    assert here.log == ["pause"]
    assert here.layer.buffered() == len(OCTETS)
    there.layer.resume_reading()
    await there.until(lambda: there.got == OCTETS)
    await here.until(lambda: here.log == ["pause", "resume"])


@pytest.mark.clause("IBB-07")
async def test_a_close_comes_after_everything_that_was_written(ends: tuple[End, End]) -> None:
    here, there = ends
    here.layer.write(OCTETS)
    here.layer.close()
    assert here.transport.is_closing()
    await there.until(lambda: "end" in there.log)
    assert there.got == OCTETS
    await here.until(lambda: here.log[-1] == "lost")
    here.transport.write(b"late")
    assert here.stream.unsent_bytes() == 0


async def test_an_abort_drops_what_waits(ends: tuple[End, End]) -> None:
    here, _ = ends
    here.layer.write(b"x")
    here.layer.flush()
    here.layer.abort()
    await here.until(lambda: here.log == ["lost"])
    here.transport.happened([DataReceived(b"late"), Closed(CloseReason.PEER)])
    assert here.got == b""


async def test_a_bytestream_that_breaks_is_told_with_its_reason(ends: tuple[End, End]) -> None:
    here, _ = ends
    here.transport.happened([Closed(CloseReason.UNDELIVERED, "no answer", 7)])
    await here.until(lambda: len(here.log) == 2)
    assert here.log == ["end", "broken: the peer cannot be reached: no answer"]
