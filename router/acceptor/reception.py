"""What comes over the bus: whose each frame is, and what is refused while there is no room.

Called by the acceptor with every frame of a worker or of an acceptor, itself included.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import structlog

from router.acceptor.connection import Connection
from router.acceptor.dialling.dialer import Dialer
from router.acceptor.egress import Egress
from router.acceptor.ingress import Ingress
from router.acceptor.overload import Overload
from router.acceptor.resumption import Resumptions
from router.acceptor.verification import Verifications
from router.wire import frames
from router.wire.frames import Forward, Frame
from router.wire.leases import is_worker
from router.wire.shard import shard_of
from router.xmpp.component import ComponentStream
from router.xmpp.s2s import ServerStream

log = structlog.get_logger()

_NO_PLACE: Final = "this server has as many connections as it may"


class Reception:
    """All that takes frames, but the links themselves; `connections` are the open ones."""

    def __init__(
        self,
        connections: Mapping[int, Connection],
        ingress: Ingress,
        egress: Egress,
        resumptions: Resumptions,
        dialer: Dialer,
        verifications: Verifications,
        overload: Overload,
        service_answered: Callable[[frames.AttachAnswer], None],
        *,
        clock: Callable[[], float],
        to_shard: Callable[[int, Frame], None],
        to_acceptor: Callable[[str, Frame], None],
        to_worker: Callable[[str, Frame], None],
    ) -> None:
        self._connections = connections
        self._egress = egress
        self._resumptions = resumptions
        self._dialer = dialer
        self._overload = overload
        self._service_answered = service_answered
        self._clock = clock
        self._to_shard = to_shard
        self._to_acceptor = to_acceptor
        self._to_worker = to_worker
        self._takes: dict[type[Frame], Callable[[str, Any], object]] = {
            frames.Forward: self._forward,
            frames.Progress: ingress.progress,
            frames.Reject: ingress.rejected,
            frames.Returned: ingress.returned,
            frames.Hold: lambda _, frame: ingress.hold(frame),
            frames.Again: lambda _, frame: ingress.again(frame),
            frames.Sync: lambda source, frame: egress.sync(self.outlets(), source, frame),
            frames.Ended: self._ended,
            frames.Dial: self._dial,
            frames.Retire: self._retire,
            frames.Release: self._release,
            frames.VerifyKey: self._verify,
            frames.Verified: lambda _, frame: verifications.verified(frame),
            frames.AttachAnswer: self._attach_answered,
            frames.Resume: resumptions.received,
            frames.ResumeAnswer: resumptions.received,
        }

    def take(self, source: str, frame: Frame) -> None:
        """A frame has come from this process."""
        if (take := self._takes.get(type(frame))) is not None:
            take(source, frame)
        else:
            log.error("bus.unexpected_frame", source=source, kind=type(frame).__name__)

    def outlets(self) -> list[Connection]:
        """All connections that lanes leave by, or left by."""
        return [*self._connections.values(), *self._resumptions.waiting()]

    def _outlet(self, stream: int) -> Connection | None:
        return self._connections.get(stream) or self._resumptions.find(stream)

    def _ended(self, source: str, frame: frames.Ended) -> None:
        outlet = self._outlet(frame.stream)
        of_one = [outlet] if outlet is not None else []
        self._egress.ended(of_one if frame.stream else self.outlets(), source, frame.lane)

    def _forward(self, source: str, frame: Forward) -> None:
        connection = self._connections.get(frame.stream)
        if not self._egress.forward(self._outlet(frame.stream), frame) and is_worker(source):
            self._correct(source, connection, frame)

    def _correct(self, worker: str, connection: Connection | None, frame: Forward) -> None:
        """The worker goes by a table that is out of date, and would choose this stream again.

        It has been told when the stream ended, unless it had another lease then. Who is told twice
        does nothing the second time.
        """
        core = connection.core if connection is not None else None
        if not isinstance(core, ServerStream):
            self._to_worker(worker, frames.Detached(frame.pair.target, frame.stream))
        if not isinstance(core, ComponentStream):
            self._to_worker(worker, frames.Revoked(frame.stream, frame.pair))

    def _dial(self, _: str, frame: frames.Dial) -> None:
        if self._overload.has_place(len(self._connections)):
            self._dialer.dial(frame.pair)
        else:
            failed = frames.DialFailed(frame.pair, "resource-constraint", "wait", _NO_PLACE)
            self._to_shard(shard_of(*frame.pair), failed)

    def _verify(self, _: str, frame: frames.VerifyKey) -> None:
        """XEP-0220 §2.5: while there is no room, a key is asked about where a stream stands."""
        if self._overload.admits(len(self._connections)):
            self._dialer.verify(frame)
        else:
            refusal = frames.Verified(frame.request, "resource-constraint")
            refuse = partial(self._to_acceptor, frame.owner, refusal)
            self._dialer.verify_at_hand(frame, refuse)

    def _retire(self, _: str, frame: frames.Retire) -> None:
        if (connection := self._connections.get(frame.stream)) is not None:
            connection.close()

    def _release(self, _: str, frame: frames.Release) -> None:
        if (connection := self._outlet(frame.stream)) is not None:
            self._egress.release(connection, frame.pair)

    def _attach_answered(self, _: str, frame: frames.AttachAnswer) -> None:
        connection = self._connections.get(frame.request)
        if connection is not None and isinstance(connection.core, ComponentStream):
            connection.act(connection.core.answer_attach(frame.accepted, self._clock()))
        else:
            self._service_answered(frame)
