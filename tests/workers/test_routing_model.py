"""Routing among toy acceptors, in any interleaving: order holds and no stanza is forgotten.

The toys keep the acceptors' side of the lanes: runs are retained until their outcome is known, an
egress stream takes each sequence number once, old leases and old epochs are fenced.
"""

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.config import Limits
from router.wire.frames import (
    Announced,
    Attached,
    Data,
    Detached,
    Dial,
    DialFailed,
    Dialling,
    Forward,
    Frame,
    Granted,
    Joined,
    Reject,
    Retire,
    Returned,
    Revoked,
    StreamId,
)
from router.wire.shard import SHARDS
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from workers.routing import Routing

OWNER = "a0.1"  # all lanes begin here; it never dies
OUT = DomainPair("montague.example", "capulet.example")
IN = OUT.inverse()
HOSTED = frozenset({"montague.example"})
LIMITS = Limits(backlog_bytes=1024, backlog_stanzas=8, backlog_s=30)
PAIRS = {1: OUT, 2: OUT, 3: IN}  # by lane
pytestmark = pytest.mark.timeout(400)  # Hypothesis takes up to 300 s to shrink what it found
MAX_DEATHS = 3  # more of them, and nothing else ever gets far


@dataclass
class Acceptor:
    """Streams and dials; `live` once the present worker has been told all about them."""

    streams: dict[int, DomainPair] = field(default_factory=dict)
    initiated: set[int] = field(default_factory=set)
    dialling: set[DomainPair] = field(default_factory=set)
    taken: dict[tuple[int, int], int] = field(default_factory=dict)  # stream, lane → last
    to_worker: deque[Frame] = field(default_factory=deque)
    from_worker: deque[tuple[int, Frame]] = field(default_factory=deque)  # with its generation
    live: bool = False

    def tell(self, frame: Frame) -> None:
        if self.live:
            self.to_worker.append(frame)


@dataclass
class Lane:
    """A run is (first, count); a stanza's outcome: "delivered", "rejected" or "doubtful"."""

    pair: DomainPair
    epoch: int = 1
    next: int = 1
    egress: StreamId | None = None
    runs: list[tuple[int, int]] = field(default_factory=list)
    outcome: dict[int, str] = field(default_factory=dict)
    delivered: list[int] = field(default_factory=list)

    def open_runs(self) -> list[tuple[int, int]]:
        return [run for run in self.runs if not set(numbers(*run)) <= self.outcome.keys()]


def numbers(first: int, count: int) -> range:
    return range(first, first + count)


def announcement(stream: int, acceptor: Acceptor, pair: DomainPair) -> Frame:
    if pair == IN:
        return Attached("montague.example", stream)
    return Granted(stream, pair, stream in acceptor.initiated, "external")


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.version = self.generation = 0
        self.streams_made = 0
        self.incarnation = 1
        self.acceptors = {OWNER: Acceptor(), "a1.1": Acceptor()}
        self.lanes = {number: Lane(pair) for number, pair in PAIRS.items()}
        self.ways: dict[tuple[int, int, int], StreamId] = {}
        self.epochs: dict[tuple[int, int], int] = {}
        self.known_closed: set[StreamId] = set()
        self.deaths = 0
        self.replace_worker()
        self.settle()

    # --- the worker ---

    def replace_worker(self) -> None:
        """The old one dies with what is on its way to it; what it sent still arrives."""
        self.generation += 1
        self.routing = Routing(HOSTED, LIMITS)
        for acceptor in self.acceptors.values():
            acceptor.to_worker.clear()
            acceptor.live = False
        self.new_membership()

    def new_membership(self) -> None:
        self.version += 1
        owned = dict.fromkeys(range(SHARDS), self.generation)
        self.sent(self.routing.membership(self.version, list(self.acceptors), owned, self.now))

    def sent(self, sends) -> None:
        for acceptor, frame in sends:
            if isinstance(frame, Forward):
                way = self.generation, frame.lane, frame.epoch
                stream = StreamId(acceptor, frame.stream)
                assert self.ways.setdefault(way, stream) == stream, "one epoch, two streams"
                assert self.epochs.get(way[:2], 0) <= frame.epoch, "an epoch after the next"
                assert stream not in self.known_closed, "a stream known to be closed"
                self.epochs[way[:2]] = frame.epoch
            self.acceptors[acceptor].from_worker.append((self.generation, frame))

    def hear(self, name: str) -> None:
        frame = self.acceptors[name].to_worker.popleft()
        if isinstance(frame, Revoked | Detached):
            self.known_closed.add(StreamId(name, frame.stream))
        self.sent(self.routing.receive(name, frame, self.now))

    # --- the acceptors ---

    def obey(self, name: str) -> None:
        acceptor = self.acceptors[name]
        generation, frame = acceptor.from_worker.popleft()
        if generation != self.generation:
            return  # fenced
        match frame:
            case Joined():
                for number, lane in self.lanes.items() if name == OWNER else ():
                    if lane.egress is not None and lane.egress.acceptor not in self.acceptors:
                        self.begin_epoch(number)  # the worker has returned what it knew of
                self.introduce(name, frame.version)
            case Dial():
                self.begin_dial(name)
            case Forward():
                self.forward(name, acceptor, frame)
            case Retire():
                if frame.stream in acceptor.streams:
                    self.close_stream(name, frame.stream)
            case Returned():
                if frame.epoch == self.lanes[frame.lane].epoch:
                    self.returned_by_worker(frame)
            case Reject():
                lane = self.lanes[frame.lane]
                if frame.epoch == lane.epoch:
                    for number in numbers(frame.first, frame.count):
                        assert number not in lane.outcome, "delivered or rejected, and rejected"
                        lane.outcome[number] = "rejected"

    def introduce(self, name: str, version: int) -> None:
        acceptor = self.acceptors[name]
        is_new, acceptor.live = not acceptor.live, True
        if is_new:
            for stream, pair in acceptor.streams.items():
                acceptor.tell(announcement(stream, acceptor, pair))
            for pair in acceptor.dialling:
                acceptor.tell(Dialling(pair))
        acceptor.tell(Announced(version))
        if is_new and name == OWNER:
            for number in self.lanes:
                self.send_again(number)

    def forward(self, name: str, acceptor: Acceptor, frame: Forward) -> None:
        lane = self.lanes[frame.lane]
        if frame.epoch != lane.epoch:
            return  # fenced
        if acceptor.streams.get(frame.stream) != frame.pair:
            self.begin_epoch(frame.lane)  # Returned
            return
        stream = StreamId(name, frame.stream)
        assert lane.egress in (None, stream), "one epoch, two streams, by two workers"
        lane.egress = stream
        last = acceptor.taken.get((frame.stream, frame.lane), 0)
        for number in numbers(frame.first, frame.counts.total):
            if number > last:
                assert number not in lane.outcome, "delivered or rejected, and delivered"
                lane.outcome[number] = "delivered"
                lane.delivered.append(number)
                acceptor.taken[frame.stream, frame.lane] = number

    def returned_by_worker(self, frame: Returned) -> None:
        """Of an acceptor that died, or because something of the epoch was rejected."""
        lane = self.lanes[frame.lane]
        for number in range(max(frame.first, 1), frame.doubt + 1):
            lane.outcome.setdefault(number, "doubtful")
        self.begin_epoch(frame.lane)

    def begin_epoch(self, number: int) -> None:
        self.lanes[number].epoch += 1
        self.lanes[number].egress = None
        self.send_again(number)

    def send_again(self, number: int) -> None:
        for run in self.lanes[number].open_runs():
            self.send_run(number, *run)

    def send_run(self, number: int, first: int, count: int) -> None:
        lane = self.lanes[number]
        counts = Counts(count, 0, 0)
        frame = Data(
            number, lane.epoch, first, counts, lane.pair, self.generation, lane.egress, b"x" * count
        )
        self.acceptors[OWNER].tell(frame)

    def open_stream(self, name: str, pair: DomainPair, initiated: bool) -> None:
        acceptor = self.acceptors[name]
        self.streams_made += 1
        acceptor.streams[self.streams_made] = pair
        if initiated:
            acceptor.initiated.add(self.streams_made)
        acceptor.tell(announcement(self.streams_made, acceptor, pair))

    def close_stream(self, name: str, stream: int) -> None:
        acceptor = self.acceptors[name]
        pair = acceptor.streams.pop(stream)
        if pair == IN:
            acceptor.tell(Detached("montague.example", stream))
        else:
            acceptor.tell(Revoked(stream, pair))
        for number, lane in self.lanes.items():
            if lane.egress == StreamId(name, stream):
                self.begin_epoch(number)  # Returned

    def open_streams(self, pair: DomainPair) -> int:
        return sum(list(a.streams.values()).count(pair) for a in self.acceptors.values())

    def diallers(self) -> list[str]:
        return [name for name, acceptor in self.acceptors.items() if acceptor.dialling]

    def some(self, data, names) -> str:
        return data.draw(st.sampled_from(sorted(names)))

    # --- what may happen ---

    @initialize(
        places=st.lists(st.sampled_from([OWNER, "a1.1"]), max_size=2),
        attaches=st.booleans(),
        dials=st.booleans(),
    )
    def lanes_are_on_their_way(self, places, attaches, dials):
        """Epochs on the first stream, which need not be the one a newcomer would choose."""
        if dials:
            self.begin_dial("a1.1")
        if attaches:
            self.open_stream("a1.1", IN, initiated=False)
        for place in places:
            self.open_stream(place, OUT, initiated=False)
            self.settle()
            for number in PAIRS:
                self.stanzas_arrive(number, 1)
            self.settle()
        self.settle()
        for number in PAIRS:
            self.stanzas_arrive(number, 1)

    @rule(number=st.sampled_from(sorted(PAIRS)), count=st.integers(1, 2))
    def stanzas_arrive(self, number, count):
        lane = self.lanes[number]
        run = lane.next, count
        lane.next += count
        lane.runs.append(run)
        self.send_run(number, *run)

    @precondition(lambda self: any(a.to_worker for a in self.acceptors.values()))
    @rule(data=st.data(), count=st.integers(1, 8))
    def the_worker_hears(self, data, count):
        name = self.some(data, [n for n, a in self.acceptors.items() if a.to_worker])
        for _ in range(min(count, len(self.acceptors[name].to_worker))):
            self.hear(name)

    @precondition(lambda self: any(a.from_worker for a in self.acceptors.values()))
    @rule(data=st.data(), count=st.integers(1, 8))
    def an_acceptor_hears(self, data, count):
        name = self.some(data, [n for n, a in self.acceptors.items() if a.from_worker])
        for _ in range(min(count, len(self.acceptors[name].from_worker))):
            self.obey(name)

    @precondition(lambda self: self.open_streams(OUT) < 2)
    @rule(data=st.data())
    def a_peer_connects(self, data):
        self.open_stream(self.some(data, self.acceptors), OUT, initiated=False)

    @precondition(lambda self: self.open_streams(IN) == 0)
    @rule(data=st.data())
    def a_component_attaches(self, data):
        self.open_stream(self.some(data, self.acceptors), IN, initiated=False)

    @rule(data=st.data())
    def a_dial_begins(self, data):
        """For a reason of the acceptor's own: a key to verify."""
        self.begin_dial(self.some(data, self.acceptors))

    def begin_dial(self, name: str) -> None:
        if OUT not in self.acceptors[name].dialling:
            self.acceptors[name].dialling.add(OUT)
            self.acceptors[name].tell(Dialling(OUT))

    @precondition(lambda self: self.diallers())
    @rule(data=st.data())
    def a_dial_works(self, data):
        self.end_dial(self.some(data, self.diallers()), works=True)

    @precondition(lambda self: self.diallers())
    @rule(data=st.data())
    def a_dial_fails(self, data):
        self.end_dial(self.some(data, self.diallers()), works=False)

    def end_dial(self, name: str, works: bool) -> None:
        self.acceptors[name].dialling.remove(OUT)
        if works:
            self.open_stream(name, OUT, initiated=True)
        else:
            self.acceptors[name].tell(DialFailed(OUT, "remote-server-not-found", "cancel", ""))

    @precondition(lambda self: any(a.streams for a in self.acceptors.values()))
    @rule(data=st.data())
    def a_stream_closes(self, data):
        name = self.some(data, [n for n, a in self.acceptors.items() if a.streams])
        self.close_stream(name, data.draw(st.sampled_from(sorted(self.acceptors[name].streams))))

    @rule()
    def all_is_heard(self):
        self.settle()

    @precondition(lambda self: self.deaths < MAX_DEATHS)
    @rule(data=st.data(), one_is_ahead=st.booleans())
    def the_worker_dies(self, data, one_is_ahead):
        self.deaths += 1
        self.replace_worker()
        if one_is_ahead:
            self.settle_with(self.some(data, self.acceptors))

    @precondition(lambda self: self.deaths < MAX_DEATHS)
    @rule()
    def the_other_acceptor_dies(self):
        """What it took is gone for good; the worker tells what it had forwarded to it."""
        self.deaths += 1
        (gone,) = self.acceptors.keys() - {OWNER}
        del self.acceptors[gone]
        self.incarnation += 1
        self.acceptors[f"a1.{self.incarnation}"] = Acceptor()
        self.new_membership()

    @rule(seconds=st.sampled_from([1.0, 31.0]))
    def time_passes(self, seconds):
        self.now += seconds
        deadline = self.routing.deadline()
        if deadline is not None and deadline <= self.now:
            self.sent(self.routing.deadline_passed(self.now))

    # --- what must hold ---

    @invariant()
    def order_holds(self):
        for lane in self.lanes.values():
            assert lane.delivered == sorted(set(lane.delivered))

    @invariant()
    def a_wait_has_an_end(self):
        if any(row["backlog_stanzas"] for row in self.routing.rows()):
            assert self.routing.deadline() is not None

    def teardown(self):
        """Once all has been said and every dial has ended, every stanza has its outcome."""
        self.settle()
        while diallers := self.diallers():
            self.end_dial(diallers[0], works=False)
            self.settle()
        self.time_passes(LIMITS.component_grace_s)
        self.settle()
        for lane in self.lanes.values():
            assert sorted(lane.outcome) == list(range(1, lane.next))
        self.order_holds()
        assert self.routing.queue_bytes() == 0

    def settle(self) -> None:
        while any(self.settle_with(name) for name in sorted(self.acceptors)):
            pass

    def settle_with(self, name: str) -> bool:
        """Let this acceptor and the worker hear each other out; whether there was anything."""
        acceptor, moved = self.acceptors[name], False
        while acceptor.to_worker or acceptor.from_worker:
            moved = True
            if acceptor.to_worker:
                self.hear(name)
            if acceptor.from_worker:
                self.obey(name)
        return moved


TestWorld = World.TestCase
TestWorld.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    phases=[phase for phase in Phase if phase is not Phase.explain],
)
