"""What a worker says, in order: forwards, rejections and returns of runs, and all other frames.

Owns the numbers that go with a forward (`Epoch.last`, `Epoch.most`) and the rule that an epoch of
which a run was rejected is never forwarded. Called by `routing`.
"""

from typing import NamedTuple

from router.wire.frames import Data, Forward, Frame, Reject, Returned, StreamId
from router.xmpp.errors import StanzaError
from workers.lanes import Epoch, Lanes


class Send(NamedTuple):
    """A frame, and the acceptor it is for."""

    acceptor: str
    frame: Frame


class Outbox:
    """Frames to `acceptors`; those to others are dropped, for they are gone."""

    def __init__(self, lanes: Lanes) -> None:
        self.acceptors: frozenset[str] = frozenset()
        self._lanes = lanes
        self._sends: list[Send] = []

    def forward(self, owner: str, data: Data, stream: StreamId, epoch: Epoch) -> None:
        """The run leaves on this stream."""
        is_again = data.first <= epoch.last
        after, epoch.last = 0 if is_again else epoch.last, data.first + data.counts.total - 1
        epoch.most = max(epoch.most, epoch.last)
        frame = Forward(
            owner,
            data.lane,
            data.epoch,
            data.first,
            data.counts,
            data.pair,
            data.generation,
            stream.number,
            after,
            data.octets,
        )
        self.send(stream.acceptor, frame)

    def reject(self, owner: str, data: Data, error: StanzaError) -> None:
        """The run is to be bounced by its owner."""
        self._lanes.refuse((owner, data.lane), data.epoch)
        frame = Reject(
            data.lane,
            data.epoch,
            data.first,
            data.counts.total,
            error.condition,
            error.type,
            error.text,
        )
        self.send(owner, frame)

    def give_back(self, owner: str, data: Data) -> None:
        """The run may leave, but not in this epoch: its owner begins another from there."""
        self.send(owner, Returned(data.lane, data.epoch, data.first, data.first - 1))

    def return_lanes(self, gone: str) -> None:
        """Tell the owners what had been forwarded to an acceptor that died: it is in doubt.

        Before they hear that we know of its death; until then they wait for us.
        """
        for (owner, lane), epoch in self._lanes.acceptor_gone(gone):
            self.send(owner, Returned(lane, epoch.number, 0, epoch.most))

    def send(self, acceptor: str, frame: Frame) -> None:
        """Any other frame."""
        if acceptor in self.acceptors:
            self._sends.append(Send(acceptor, frame))

    def take(self) -> list[Send]:
        """Everything since the last time."""
        sends, self._sends = self._sends, []
        return sends
