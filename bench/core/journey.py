"""One stanza's way through a node, from ciphertext to ciphertext, in one process.

The parts of an acceptor and a worker are the real ones, joined as `router.acceptor.acceptor` and
`workers.process` join them; only the sockets to peers are missing. Used by `profile`.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import zmq
from OpenSSL import SSL

from bench.core.alone import PAIR, policy
from bench.core.ends import End
from bench.core.watch import Watch
from router.acceptor.certificates.contexts import server_context
from router.acceptor.certificates.credential import Credential
from router.acceptor.connection import Connection
from router.acceptor.egress import Egress
from router.acceptor.ingress import Ingress
from router.acceptor.layer import CHUNK_BYTES, RECEIVE_BUFFER
from router.acceptor.tls import TlsSession
from router.acceptor.window import Window
from router.config import Limits
from router.metrics import Counters
from router.wire.codec import decode, encode
from router.wire.egress import Outlet, Verdict
from router.wire.frames import Announced, Attached, Data, Forward, Frame, Progress
from router.wire.lane import Lane
from router.wire.leases import ANY_LEASE, Leases
from router.wire.owner import Answer, Owner, Sending, Straight
from router.wire.shard import SHARDS
from router.xmpp.certificate import NO_CERTIFICATE, Evidence
from router.xmpp.events import Event, RunReceived
from router.xmpp.reader import pure
from router.xmpp.receiving import ReceivingStream
from router.xmpp.stanza import Counts
from workers.routing import Routing

ACCEPTOR: Final = "a0.1"
_UNBOUNDED_BYTES: Final = 1 << 40

DECRYPT: Final = "TLS decrypt"
READ: Final = "reader"
CORE: Final = "stream core"
INGRESS: Final = "ingress, counters"
RETAIN: Final = "retention"
ENCODE: Final = "frame encode"
HOP: Final = "ZeroMQ, a hop"
DECODE: Final = "frame decode"
EGRESS: Final = "egress, counters"
ENCRYPT: Final = "TLS encrypt"
REPORT: Final = "progress reports"
STAGES: Final = (
    DECRYPT,
    READ,
    CORE,
    INGRESS,
    RETAIN,
    ENCODE,
    HOP,
    DECODE,
    EGRESS,
    ENCRYPT,
    REPORT,
)


class Journey:
    """A peer's TLS stream, an acceptor, another, and the TLS stream on which all leaves again.

    The first run asks a worker for the way; what is measured is what follows it.
    `is_reliable` False: fire and forget. Runs are not kept and nothing is reported, and all else
    stays. To be made inside a running loop, which gets no turn as long as stanzas are carried.
    """

    def __init__(
        self,
        reader: type[pure.Reader],
        credential: Credential,
        directory: Path,
        *,
        is_reliable: bool = True,
    ) -> None:
        self.watch = Watch()
        self._is_reliable = is_reliable
        self._counters = Counters()
        self._hop = _Hop(directory)
        self._queue: list[Frame] = []
        loop = asyncio.get_running_loop()
        leases = Leases()
        for shard in range(SHARDS):
            leases.lease(shard, "w0.1", 1)
            leases.live[shard] = True
        leases.acceptors.add(ACCEPTOR)
        owner = (_KeepingOwner if is_reliable else _ForgetfulOwner)(leases, self.watch)
        self._ingress = Ingress(
            owner,
            self._counters,
            Window(owner, _UNBOUNDED_BYTES, _UNBOUNDED_BYTES),
            to_shard=lambda _, frame: self._queue.append(frame),
            to_acceptor=self._told,
            call_later=loop.call_later,
        )
        self._egress = Egress(
            loop, self._ingress, leases, self._told, _UNBOUNDED_BYTES, _UNBOUNDED_BYTES
        )
        self._routing = _routing()
        context = server_context(credential, lambda _: None, direct_tls=True)
        self._in = self._end(1, reader, context)
        self._out = self._end(2, reader, context)
        outlet = _TimedOutlet if is_reliable else _ForgetfulOutlet
        self._out.connection.outlet = outlet(2, self.watch)
        self._out.layer.on_flush = self._out.connection.outlet.flushed
        self._in.prove()
        self._out.prove()

    def _end(self, number: int, reader: type[pure.Reader], context: SSL.Context) -> End:
        return End(number, self, _core(reader, self.watch)(), context)

    def close(self) -> None:
        """Give the sockets between the processes back."""
        self._hop.close()

    def ciphertext(self, chunks: Iterable[bytes], *, apart: bool) -> list[bytes]:
        """These chunks as the peer's TLS sends them, cut into reads; `apart`: one a read."""
        if apart:
            return [self._in.seal(chunk) for chunk in chunks]
        octets = b"".join(self._in.seal(chunk) for chunk in chunks)
        return [octets[at : at + CHUNK_BYTES] for at in range(0, len(octets), CHUNK_BYTES)]

    def carry(self, reads: Sequence[bytes]) -> int:
        """Let these octets of the peer through; how many stanzas have left at the other end."""
        before = self._out.connection.stanzas_out
        for octets in reads:
            RECEIVE_BUFFER[: len(octets)] = octets
            outside = self.watch.enter(DECRYPT)
            self._in.layer.buffer_updated(len(octets))
            self.watch.leave(outside)
            self._pass_on()
        return self._out.connection.stanzas_out - before

    def handed(self) -> int:
        """Stanzas whose sender's acceptor knows that they have arrived."""
        rows = {labels: value for _, labels, value in self._counters.snapshot()}
        return int(rows.get(("handed",), 0))

    def _pass_on(self) -> None:
        """What the loops of both acceptors do in the turn after a read."""
        watch = self.watch
        frames, self._queue = self._queue, []
        for frame in frames:
            run = self._routed(frame) if isinstance(frame, Data) else self._across(frame)
            outside = watch.enter(EGRESS)
            self._egress.forward(self._out.connection, run)
            watch.leave(outside)
        outside = watch.enter(ENCRYPT)
        self._out.layer.flush()
        watch.leave(outside)
        outside = watch.enter(REPORT)
        if self._is_reliable:
            self._report()
        watch.leave(outside)

    def _routed(self, data: Data) -> Forward:
        """A worker says where the lane's first run goes."""
        (sent,) = self._routing.receive(ACCEPTOR, data, 0.0)
        assert isinstance(sent.frame, Forward)
        return sent.frame

    def _across(self, frame: Frame) -> Forward:
        """The acceptor that read the run sends it to the one that writes it."""
        watch = self.watch
        outside = watch.enter(ENCODE)
        parts = encode(frame)
        watch.enter(HOP)
        parts = self._hop.to_acceptor(parts)
        watch.enter(DECODE)
        run = decode(parts)
        watch.leave(outside)
        assert isinstance(run, Forward)
        return run

    def _report(self) -> None:
        """The peer's kernel has acknowledged all; a node looks for that every 10 ms at most."""
        outlet = self._out.connection.outlet
        outlet.acknowledged(self._out.layer.written())
        for source, report in outlet.reports():
            self._told(source, report)

    def _told(self, _: str, frame: Frame) -> None:
        if isinstance(frame, Forward):
            self._queue.append(frame)
        else:
            assert isinstance(frame, Progress)
            self._ingress.progress(ACCEPTOR, frame)

    # --- what connections report (connection.Hub) ---

    def happened(self, connection: Connection, event: Event) -> None:
        """As the acceptor: runs go to the ingress."""
        if isinstance(event, RunReceived):
            before = self.watch.enter(INGRESS)
            self._ingress.run_received(connection, event.pair, event.counts, event.octets)
            self.watch.leave(before)

    def opened(self, connection: Connection) -> None: ...
    def moved(self, connection: Connection, before: object) -> None: ...
    def closing(self, connection: Connection) -> None: ...
    def drained(self, connection: Connection) -> None:
        """Nothing is ever held."""

    def lost(self, connection: Connection) -> None: ...

    def tls_done(self, connection: Connection, session: TlsSession | None, reason: str) -> None:
        """A failed handshake is a fault of the measurement."""
        if session is None:
            raise ConnectionError(f"no TLS: {reason}")

    def evidence(self, connection: Connection, session: TlsSession) -> Evidence:
        """The pair is proved by decree."""
        return NO_CERTIFICATE


class _Hop:
    """The sockets between two acceptors, as `router.wire.bus` has them, without a loop."""

    _OTHER: Final = b"a1.1"

    def __init__(self, directory: Path) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._bound = self._context.socket(zmq.ROUTER)
        self._connected = self._context.socket(zmq.DEALER)
        for socket in (self._bound, self._connected):
            socket.linger = 0
        self._bound.bind(f"ipc://{directory}/hop")
        self._connected.setsockopt(zmq.ROUTING_ID, self._OTHER)
        self._connected.connect(f"ipc://{directory}/hop")

    def to_acceptor(self, parts: list[bytes]) -> list[bytes]:
        """The message at its other end."""
        self._connected.send_multipart(parts)
        return self._bound.recv_multipart()[1:]

    def close(self) -> None:
        """Both sockets, and the thread that serves them."""
        self._context.destroy(linger=0)


def _routing() -> Routing:
    """A worker that owns all shards and knows where the target is attached."""
    routing = Routing(frozenset((PAIR.target,)), Limits())
    routing.membership(1, (ACCEPTOR,), dict.fromkeys(range(SHARDS), 1), 0.0)
    routing.receive(ACCEPTOR, Attached(PAIR.target, 2), 0.0)
    routing.receive(ACCEPTOR, Announced(1), 0.0)
    return routing


def _core(reader: type[pure.Reader], watch: Watch) -> Callable[[], ReceivingStream]:
    """Cores whose reading and whose own work are charged apart."""

    class Timed(reader):  # type: ignore[valid-type,misc]
        def feed(self, octets: bytes) -> Any:
            before = watch.enter(READ)
            tokens = super().feed(octets)
            watch.leave(before)
            return tokens

    class Core(ReceivingStream):
        def _new_reader(self) -> pure.Reader:
            made: pure.Reader = Timed(self.NAMESPACE, self.policy.limits)
            return made

        def receive_bytes(self, octets: bytes, now: float) -> list[Event]:
            before = watch.enter(CORE)
            events = super().receive_bytes(octets, now)
            watch.leave(before)
            return events

    return lambda: Core(policy(), lambda: "id", 0.0, direct_tls=True)


class _KeepingOwner(Owner):
    """The owner, with its time charged to retention."""

    def __init__(self, leases: Leases, watch: Watch) -> None:
        super().__init__(ACCEPTOR, leases)
        self._watch = watch

    def append(self, lane: Lane, counts: Counts, octets: bytes) -> Sending | None:
        before = self._watch.enter(RETAIN)
        sending = super().append(lane, counts, octets)
        self._watch.leave(before)
        return sending

    def progress(self, source: str, frame: Progress) -> Answer:
        before = self._watch.enter(RETAIN)
        answer = super().progress(source, frame)
        self._watch.leave(before)
        return answer


class _ForgetfulOwner(_KeepingOwner):
    """Numbers runs and makes their frames, which nobody can do without; keeps none."""

    def append(self, lane: Lane, counts: Counts, octets: bytes) -> Sending | None:
        before = self._watch.enter(RETAIN)
        first, lane.next = lane.next, lane.next + counts.total
        run = Forward(
            ACCEPTOR, lane.number, 1, first, counts, lane.pair, ANY_LEASE, 2, first - 1, octets
        )
        self._watch.leave(before)
        return Straight(ACCEPTOR, run)


class _TimedOutlet(Outlet):
    """The outlet, with what it does for the reports charged to them."""

    def __init__(self, stream: int, watch: Watch) -> None:
        super().__init__(stream, "tcp")
        self._watch = watch

    def take(self, frame: Forward, written: int) -> None:
        before = self._watch.enter(REPORT)
        super().take(frame, written)
        self._watch.leave(before)

    def flushed(self, offset: int) -> None:
        before = self._watch.enter(REPORT)
        super().flushed(offset)
        self._watch.leave(before)


class _ForgetfulOutlet(_TimedOutlet):
    """Writes what comes and remembers none of it; looks at the watch as often, which costs, too."""

    def judge(self, frame: Forward) -> Verdict:
        return Verdict.NEXT

    def take(self, frame: Forward, written: int) -> None:
        self._watch.leave(self._watch.enter(REPORT))

    def flushed(self, offset: int) -> None:
        self._watch.leave(self._watch.enter(REPORT))
