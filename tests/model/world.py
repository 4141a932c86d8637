"""The state of the model: actors, links, what the supervisor said, and the promise they must keep.

One shard and one domain pair. Acceptors A, B, … own lanes and have streams; worker w0 routes,
others stand by. `World` checks what of the promise can be seen at once; `happenings` moves it on,
and sees in the end that nothing is left over.
"""

from typing import Any, Final, NamedTuple, Self

from tests.model.egress import Egress, Stream
from tests.model.frames import Frame, Joined, LaneId, Membership, Mutant
from tests.model.network import BOUNCED, GONE, HANDED, IN_DOUBT, Broken
from tests.model.owner import NO_LIMIT, Lane, Owner
from tests.model.piece import Piece
from tests.model.worker import Worker


class Bounds(NamedTuple):
    """How big a world is, and how often each thing may happen in it.

    `streams`: so many acceptors have one in the beginning.
    """

    acceptors: int = 2
    workers: int = 3
    streams: int = 2
    lanes: tuple[LaneId, ...] = (LaneId("A", 1),)
    parse: int = 3
    crash: int = 1
    move: int = 1
    die: int = 1
    close: int = 1
    retire: int = 1
    open: int = 1
    grant: int = 1
    lose: int = 1
    cut: int = 1
    expire: int = 2
    poison: int = 1
    refuse: int = 2
    overflow: int = 1
    join: int = 1
    hang_up: int = 1
    leave: int = 1

    def counts(self) -> dict[str, int]:
        """How often, by the name of the action."""
        return {name: value for name, value in self._asdict().items() if isinstance(value, int)}


QUIET: Final = Bounds(
    crash=0, move=0, die=0, close=0, retire=0, open=0, grant=0, lose=0, cut=0, expire=0,
    poison=0, refuse=0, overflow=0, join=0, hang_up=0, leave=0,
)  # fmt: skip
"""Nothing goes wrong; for worlds of some faults."""


class World:
    """Everything there is. `fork` first to keep what was."""

    __slots__ = (
        "_fresh", "_frozen", "acceptors", "budget", "dead", "history", "links",
        "mutant", "on_wire", "outcomes", "pieces",
    )  # fmt: skip

    def __init__(self, bounds: Bounds, mutant: Mutant | None = None) -> None:
        self.mutant = mutant
        self.acceptors = tuple("ABCD"[: bounds.acceptors])
        members = frozenset(self.acceptors)
        workers = tuple(f"w{number}" for number in range(bounds.workers))
        self.history: tuple[Membership, ...] = (Membership(members, "w0", 1),)
        self.dead: frozenset[str] = frozenset()
        self.links: dict[tuple[str, str], tuple[Frame, ...]] = {}
        self.outcomes: dict[tuple[LaneId, int], str] = {}
        self.on_wire: dict[LaneId, tuple[tuple[int, int], ...]] = {}
        self.budget = bounds.counts()
        self.pieces: dict[tuple[str, str], Piece] = {}
        self._frozen: dict[tuple[str, str], tuple[Any, ...]] = {}
        for at, name in enumerate(self.acceptors):
            streams = {1: Stream()} if at < bounds.streams else {}
            lanes = {lane: Lane() for lane in bounds.lanes if lane.owner == name}
            self._place(name, lanes, streams)
        for name in workers:
            generation = 1 if name == "w0" else None
            worker = Worker(name, 0, generation, members, int(name[1]) % 2 == 0)
            worker.awaited = set(members) if generation else set()
            self.pieces["worker", name] = worker
        self._fresh = set(self.pieces)
        for worker_name in workers:
            for name in self.acceptors:
                self.send(worker_name, name, Joined(0))

    def _place(self, name: str, lanes: dict[LaneId, Lane], streams: dict[int, Stream]) -> None:
        version, now = len(self.history) - 1, self.history[-1]
        owner = Owner(name, version, now.worker, now.generation, now.acceptors, lanes, version)
        self.pieces["owner", name] = owner
        self.pieces["egress", name] = Egress(name, now.generation, streams)

    def join(self, name: str) -> None:
        """A new acceptor, with a lane and a stream of its own, in a new membership."""
        now = self.history[-1]
        self.history = (*self.history, now._replace(acceptors=now.acceptors | {name}))
        self.acceptors = (*self.acceptors, name)
        self._place(name, {LaneId(name, 1): Lane()}, {1: Stream()})

    def fork(self) -> Self:
        """Another world that goes on from here."""
        new = object.__new__(type(self))
        new.mutant, new.acceptors = self.mutant, self.acceptors
        new.history, new.dead = self.history, self.dead
        new.links, new.budget = self.links.copy(), self.budget.copy()
        new.outcomes, new.on_wire = self.outcomes.copy(), self.on_wire.copy()
        new.pieces, new._frozen = self.pieces.copy(), self._frozen.copy()
        new._fresh = set()
        self._fresh = set()
        return new

    def key(self) -> int:
        """Equal for equal worlds, and hardly ever for others (64 bits)."""
        for place, piece in self.pieces.items():
            if place not in self._frozen:
                self._frozen[place] = piece.frozen()
        return hash(
            (
                tuple(self._frozen[place] for place in self.pieces),
                frozenset(self.links.items()),
                frozenset(self.outcomes.items()),
                frozenset(self.on_wire.items()),
                self.history,
                self.dead,
                tuple(self.budget.values()),
            )
        )

    # --- what actors may do ---

    def send(self, source: str, target: str, frame: Frame) -> None:
        if target in self.dead:
            return
        link = self.links.get((source, target), ())
        self.links[source, target] = (*link, frame)

    def open_streams(self, acceptor: str) -> list[int]:
        streams = self.read("egress", acceptor).streams
        return [number for number, stream in streams.items() if stream.open]

    def live_lease(self, acceptor: str) -> tuple[str, int] | None:
        owner: Owner = self.read("owner", acceptor)
        return (owner.worker, owner.generation) if owner.announced else None

    def accepted(self, lane: LaneId, number: int) -> None:
        self.outcomes[lane, number] = ""

    def outcome(self, lane: LaneId, number: int, outcome: str) -> None:
        if self.outcomes[lane, number] == GONE:
            return
        if self.outcomes[lane, number]:
            raise Broken(f"{lane} {number}: {self.outcomes[lane, number]}, then {outcome}")
        is_written = (lane.number, number) in self.on_wire.get(lane.line, ())
        if outcome == HANDED and not is_written:
            raise Broken(f"{lane} {number} is handed over but was never written")
        if outcome == BOUNCED and is_written:
            raise Broken(f"{lane} {number} is bounced without doubt but was written")
        self.outcomes[lane, number] = outcome

    def written(self, lane: LaneId, number: int) -> None:
        before, stanza = self.on_wire.get(lane.line, ()), (lane.number, number)
        if stanza in before:
            raise Broken(f"{lane} {number} is written twice")
        if before and stanza < before[-1]:
            raise Broken(f"{lane} {number} is written behind {before[-1]}")
        if self.outcomes[lane, number] not in ("", IN_DOUBT, GONE):
            raise Broken(f"{lane} {number} is written after: {self.outcomes[lane, number]}")
        self.on_wire[lane.line] = (*before, stanza)

    def check_limit(self, lane: LaneId, epoch: int, limit: int) -> None:
        if limit == NO_LIMIT:
            return
        for name in self.acceptors:
            for stream in self.read("egress", name).streams.values():
                taken = stream.lanes.get(lane)
                if taken and taken.epoch == epoch and taken.held and 0 < taken.granted < limit:
                    raise Broken(f"{lane} may send {limit}, granted were {taken.granted}")

    def read(self, kind: str, name: str) -> Any:
        return self.pieces[kind, name]

    def change(self, kind: str, name: str) -> Any:
        place = kind, name
        if place not in self._fresh:
            self.pieces[place] = self.pieces[place].fork()
            self._fresh.add(place)
        self._frozen.pop(place, None)
        return self.pieces[place]
