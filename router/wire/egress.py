"""The egress half of the lanes: what one stream has taken, in order, and how far it has got.

One `Outlet` per stream that sends. Pure: it is told when octets leave and what the peer has
acknowledged, and says what to report to the runs' owners. `owner` is the other half.
"""

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from router.wire.frames import Again, Forward, Hold, Progress, Returned
from router.wire.shard import shard_of
from router.xmpp.pair import DomainPair

LaneKey = tuple[str, int]  # owning acceptor, lane number
_CREDITLESS = 8  # so many lanes on hold may all go on at once
_REMEMBERED = 4096  # lanes that have left, for the runs of theirs that are on their way


class Verdict(Enum):
    """What a run is to its lane."""

    NEXT = auto()
    SEEN = auto()
    """It was taken before."""
    GAP = auto()
    """Something before it is missing."""
    LATE = auto()
    """The lane has left this stream, or is about to."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """The end of one run on its way: of which lane, and how many managed stanzas it makes in all.

    0 `stanzas` where the peer does not count; then what its kernel has is done. `first` is the
    run's first number, 0 when a part of it was not written.
    """

    key: LaneKey
    first: int
    last: int
    stanzas: int


class Short(Enum):
    """Whether a lane lacks what was sent to it."""

    NOTHING = auto()
    DROPPED = auto()
    ASKED_FOR = auto()
    """Its owner knows; what comes before that is dropped as well, and not asked for twice."""


@dataclass(slots=True)
class _Taken:
    """How far one lane has got on this stream; sequence numbers.

    `short`: what was dropped behind `took`, up to `lacks_to` at most. `used` is how many octets it
    has sent since it was last allowed to.
    """

    pair: DomainPair
    epoch: int
    took: int = 0
    done: int = 0
    short: Short = Short.NOTHING
    lacks_to: int = 0
    used: int = 0


class Outlet:
    """The lanes that leave on one stream. Offsets count octets handed to the transport.

    A stream is done with what it has sent when the peer's kernel has acknowledged it ("tcp"), as
    soon as it has left ("write"), or when the peer says it has handled it ("sm", XEP-0198).
    """

    def __init__(self, stream: int, level: str) -> None:
        self._stream = stream
        self._level = self._level_alone = level
        self._lanes: dict[LaneKey, _Taken] = {}
        self._unflushed: list[_Sent] = []
        self._unacknowledged: deque[tuple[int, _Sent]] = deque()
        self._is_managed = False
        # Stanzas since the stream is managed: taken, left for the kernel, with the peer's kernel,
        # and handled by the peer.
        self._sent = self._handed = self._delivered = self._handled = 0
        self._unhandled: deque[_Sent] = deque()
        self._dirty: set[LaneKey] = set()
        self._reported: set[LaneKey] = set()
        self._held: dict[LaneKey, bool] = {}  # as told: whether the peer reads
        self._leaving: set[LaneKey] = set()
        self._left: dict[LaneKey, int] = {}  # in which epoch

    # --- runs ---

    def judge(self, frame: Forward) -> Verdict:
        """Whether to take this run."""
        key = (frame.owner, frame.lane)
        lane = self._lanes.get(key)
        took = 0 if lane is None else lane.took
        if key in self._leaving or frame.epoch <= self._left.get(key, 0):
            return Verdict.LATE
        if frame.first <= took:
            return Verdict.SEEN
        return Verdict.NEXT if frame.after <= took else Verdict.GAP

    def take(self, frame: Forward, written: int) -> None:
        """The run, for which `judge` says NEXT, is written, or so many stanzas of it.

        With 0, all of it is rejected here, and nothing of it will be acknowledged.
        """
        key, lane = self._lane(frame)
        lane.took = frame.first + frame.counts.total - 1
        if lane.took >= lane.lacks_to:  # or what fills a gap would hide what is missing behind it
            lane.short = Short.NOTHING
        lane.used += len(frame.octets)
        self._dirty.add(key)
        if not written:
            return
        self._sent += written if self._is_managed else 0
        first = frame.first if written == frame.counts.total else 0
        sent = _Sent(key, first, lane.took, self._sent if self._is_managed else 0)
        self._unflushed.append(sent)
        if self._is_managed:
            self._unhandled.append(sent)

    def _lane(self, frame: Forward) -> tuple[LaneKey, _Taken]:
        key = (frame.owner, frame.lane)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Taken(frame.pair, frame.epoch)
        lane.epoch = max(lane.epoch, frame.epoch)
        return key, lane

    def seen(self, frame: Forward) -> None:
        """The run came a second time: report once more how far the lane has got."""
        key, _ = self._lane(frame)
        self._dirty.add(key)

    def drop(self, frame: Forward) -> Again | None:
        """The run is not taken: its owner is to send it again.

        None where that has been said, or will be when the hold on the lane ends.
        """
        is_gap = self.judge(frame) is Verdict.GAP
        key, lane = self._lane(frame)
        lane.lacks_to = max(lane.lacks_to, frame.first + frame.counts.total - 1)
        if is_gap and lane.short is not Short.NOTHING:
            return None  # of course: what is missing has not come yet
        lane.short = Short.DROPPED
        if key in self._held:
            return None
        lane.short = Short.ASKED_FOR
        return Again(frame.lane, lane.epoch, lane.took, 0, is_short=True)

    def decline(self, frame: Forward) -> Returned | None:
        """What its owner is to hear of a run that came too late to be written.

        None where earlier runs of the lane may still get through: `close` returns them together,
        for a lane moves with all it has (what is on its way would be sent twice).
        """
        lane = self._lanes.get((frame.owner, frame.lane))
        if lane is None:
            return Returned(frame.lane, frame.epoch, frame.first, frame.first - 1)
        lane.epoch = max(lane.epoch, frame.epoch)
        return None

    # --- a peer that reads slowly ---

    def hold(self, frame: Forward, *, is_moving: bool) -> Hold | None:
        """The stream is full: the run's lane is to wait. None where it has been told so."""
        key = (frame.owner, frame.lane)
        if self._held.get(key) is is_moving:
            return None
        self._held[key] = is_moving
        return Hold(frame.lane, frame.epoch, is_moving)

    def hold_on(self, *, is_moving: bool) -> Iterator[tuple[str, Hold]]:
        """(owner, word): whether the peer reads has changed.

        The lanes on hold are told; when it reads no more, so are all that wait for it.
        """
        keys = dict.fromkeys(self._held)
        if not is_moving:
            keys |= {key: None for key, lane in self._lanes.items() if lane.took > lane.done}
        for key in keys:
            lane = self._lanes.get(key)
            if lane is not None and self._held.get(key) is not is_moving:
                self._held[key] = is_moving
                yield key[0], Hold(key[1], lane.epoch, is_moving)

    def is_holding(self) -> bool:
        """Whether any lane has been told to wait, or how much to send."""
        return bool(self._held)

    def release(self, room_bytes: int) -> Iterator[tuple[str, Again]]:
        """(owner, word) to the lanes on hold: the peer has read, go on.

        Few go on freely, as do those that sent nothing when they last might; of many each gets its
        part of the room, and stays on hold.
        """
        held = [key for key in self._held if key in self._lanes]
        share = 0 if len(held) <= _CREDITLESS else max(1, room_bytes // len(held))
        waiting = dict(self._held)
        self._held.clear()
        for key in held:
            lane = self._lanes[key]
            is_short = lane.short is Short.DROPPED
            is_idle = waiting[key] and lane.used == 0 and lane.short is Short.NOTHING
            octets = 0 if is_idle else share
            if octets:
                self._held[key] = True
            lane.used = 0
            if is_short:
                lane.short = Short.ASKED_FOR
            yield key[0], Again(key[1], lane.epoch, lane.took, octets, is_short)

    # --- how far it got ---

    def managed(self) -> None:
        """XEP-0198 §3: the peer counts what is sent from now on, and will say what it handled."""
        self._is_managed = True
        self._level = "sm"
        self._sent = self._handed = self._delivered = self._handled = 0

    def unmanaged(self) -> None:
        """The peer will count no more: what its kernel has is done after all.

        It has refused, or has read the stream to its end (RFC 6120 §4.4).
        """
        if not self._is_managed:
            return
        self._is_managed = False
        self._level = self._level_alone
        self.handled(self._delivered)
        self._unhandled.clear()
        self._unflushed = [replace(sent, stanzas=0) for sent in self._unflushed]
        self._unacknowledged = deque(
            (offset, replace(sent, stanzas=0)) for offset, sent in self._unacknowledged
        )

    def settled(self, stanzas: int) -> None:
        """The peer has got exactly so many since the stream is managed, and gets no more.

        XEP-0198 §5: so nothing is in doubt any longer.
        """
        self.handled(stanzas)
        if (partly := self._handle_partly()) is not None:
            self._dirty.add(partly)
        self._unflushed.clear()
        self._unacknowledged.clear()
        self._unhandled.clear()

    def flushed(self, offset: int) -> None:
        """All that was taken so far ends at or before this offset."""
        for sent in self._unflushed:
            self._unacknowledged.append((offset, sent))
            if self._level == "write":
                self._is_done(sent)
        self._unflushed.clear()
        self._handed = self._sent

    def acknowledged(self, offset: int) -> None:
        """The peer's kernel has everything up to this offset."""
        waiting = self._unacknowledged
        while waiting and waiting[0][0] <= offset:
            _, sent = waiting.popleft()
            if sent.stanzas:
                self._delivered = sent.stanzas
            else:
                self._is_done(sent)

    def handled(self, stanzas: int) -> None:
        """The peer has handled so many stanzas since the stream is managed (XEP-0198 §4)."""
        self._handled = max(self._handled, stanzas)
        waiting = self._unhandled
        while waiting and waiting[0].stanzas <= stanzas:
            self._is_done(waiting.popleft())

    def _handle_partly(self) -> LaneKey | None:
        """The lane of the run in whose middle the peer's count ends, its progress brought there."""
        sent = self._unhandled[0] if self._unhandled else None
        lane = self._lanes.get(sent.key) if sent is not None else None
        if sent is None or lane is None or not sent.first:
            return None
        done = sent.last - (sent.stanzas - self._handled)
        if done < sent.first:
            return None
        lane.done = max(lane.done, done)
        return sent.key

    def _is_done(self, sent: _Sent) -> None:
        lane = self._lanes.get(sent.key)
        if lane is not None and sent.last > lane.done:
            lane.done = sent.last
            self._dirty.add(sent.key)

    def unhandled(self) -> int:
        """Stanzas sent that the peer has not said it handled."""
        return self._sent - self._handled

    def is_waiting(self) -> bool:
        """Whether the peer's kernel has not got everything, or anything has not been reported."""
        return bool(self._dirty or self.is_unacknowledged())

    def is_unacknowledged(self) -> bool:
        """Whether anything taken has not reached the peer's kernel yet."""
        return bool(self._unacknowledged or self._unflushed)

    def reports(self) -> Iterator[tuple[str, Progress]]:
        """(owner, report) for every lane that moved since the last time."""
        yield from self._progress(self._dirty)
        self._reported |= self._dirty
        self._dirty.clear()

    def repeats(self) -> Iterator[tuple[str, Progress]]:
        """(owner, report) once more for every lane reported since the last repetition."""
        yield from self._progress(self._reported - self._dirty)
        self._reported.clear()

    def of_owner(self, owner: str, shards: Collection[int]) -> Iterator[Progress]:
        """A report for each lane of the owner's in these shards."""
        own = ((k, lane) for k, lane in self._lanes.items() if k[0] == owner)
        keys = [key for key, lane in own if shard_of(*lane.pair) in shards]
        for _, report in self._progress(keys):
            yield report

    def _progress(self, keys: Collection[LaneKey]) -> Iterator[tuple[str, Progress]]:
        for key in keys:
            lane = self._lanes.get(key)
            if lane is not None:
                yield (
                    key[0],
                    Progress(key[1], lane.epoch, self._stream, lane.took, lane.done, self._level),
                )

    # --- ends ---

    def leave(self, pair: DomainPair) -> None:
        """The lanes of this pair are to go elsewhere: nothing more of them is taken."""
        self._leaving |= {key for key, lane in self._lanes.items() if lane.pair == pair}

    def left(self) -> Iterator[tuple[str, Returned]]:
        """(owner, return) for every lane that is to leave and has nothing on its way any more."""
        if not self._leaving:
            return
        on_their_way = {sent.key for _, sent in self._unacknowledged if not sent.stanzas}
        on_their_way |= {sent.key for sent in (*self._unflushed, *self._unhandled)}
        for key in self._leaving - on_their_way:
            lane = self._lanes[key]
            self.ended(*key)
            self._left[key] = lane.epoch
            if len(self._left) > _REMEMBERED:
                del self._left[next(iter(self._left))]
            yield key[0], Returned(key[1], lane.epoch, lane.done + 1, lane.done)

    def close(self) -> Iterator[tuple[str, Progress | Returned]]:
        """(owner, return) for every lane: the stream is gone.

        What was handed to the transport without reaching its level is in doubt. A run of which the
        peer has handled a part is reported before, to the stanza.
        """
        if (partly := self._handle_partly()) is not None:
            yield from self._progress([partly])
        on_their_way = [sent for _, sent in self._unacknowledged if not sent.stanzas]
        on_their_way += [sent for sent in self._unhandled if sent.stanzas <= self._handed]
        in_doubt = {sent.key: sent.last for sent in on_their_way}
        for key, lane in self._lanes.items():
            first = lane.done + 1
            doubt = max(lane.done, in_doubt.get(key, 0))
            yield key[0], Returned(key[1], lane.epoch, first, doubt)
        self._lanes.clear()
        self._unflushed.clear()
        self._unacknowledged.clear()
        self._unhandled.clear()
        self._dirty.clear()
        self._reported.clear()
        self._held.clear()
        self._leaving.clear()

    def ended(self, owner: str, lane: int) -> None:
        """The owner says that the lane is over."""
        self._lanes.pop((owner, lane), None)
        self._held.pop((owner, lane), None)
        self._leaving.discard((owner, lane))

    def owner_gone(self, owner: str) -> None:
        """An acceptor died, and its lanes with it; what was taken is still sent."""
        for key in [key for key in self._lanes if key[0] == owner]:
            self.ended(*key)
