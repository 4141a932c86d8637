"""Seats, owners and generations under any sequence of arrivals and deaths."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.supervisor.membership import NOBODY, Seating
from router.wire.shard import SHARDS, seat_of


class Seatings(RuleBasedStateMachine):
    @initialize(seats=st.integers(1, 5))
    def begin(self, seats: int) -> None:
        self.seating = Seating.vacant(seats)
        self.present: list[str] = []
        self.started = 0

    def change(self, after: Seating) -> None:
        before, self.seating = self.seating, after
        changed = [a != b for a, b in zip(before.owners, after.owners, strict=True)]
        rises = zip(after.generations, before.generations, strict=True)
        assert [new - old for new, old in rises] == changed

    @rule()
    def arrive(self) -> None:
        self.started += 1
        worker = f"w.{self.started}"
        before = self.seating
        self.change(before.arrived(worker))
        self.present.append(worker)
        stayed = [a == b for a, b in zip(before.seats, self.seating.seats, strict=True)]
        assert stayed.count(False) <= 1
        assert (NOBODY in before.seats) == (worker in self.seating.seats)

    @precondition(lambda self: self.present)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(self.present))
        before = self.seating
        self.change(before.left(worker))
        self.present.remove(worker)
        for owner, now in zip(before.owners, self.seating.owners, strict=True):
            assert owner in (worker, now), "only the dead one's shards move"
        if worker in before.seats and before.spares:
            heir = before.spares[0]
            assert self.seating.seats[before.seats.index(worker)] == heir
            moved = before.owners.count(worker)
            assert self.seating.moves == before.moves + moved

    @invariant()
    def everybody_has_one_place(self) -> None:
        if hasattr(self, "seating"):
            seated = [worker for worker in self.seating.seats if worker != NOBODY]
            assert sorted([*seated, *self.seating.spares]) == sorted(self.present)
            assert len(seated) == min(len(self.present), len(self.seating.seats))

    @invariant()
    def shards_belong_to_seats(self) -> None:
        if hasattr(self, "seating"):
            seats = self.seating.seats
            for shard, owner in enumerate(self.seating.owners):
                assert owner == seats[seat_of(shard, range(len(seats)))]


TestSeatings = Seatings.TestCase


def test_the_first_owners_are_no_moves() -> None:
    seating = Seating.vacant(2).arrived("w0.1").arrived("w1.1")
    assert set(seating.owners) == {"w0.1", "w1.1"}
    assert seating.moves == 0
    assert set(seating.generations) == {1}


def test_a_shard_that_waited_for_its_next_owner_has_moved_once() -> None:
    seating = Seating.vacant(1).arrived("w0.1").left("w0.1")
    assert set(seating.owners) == {NOBODY}
    assert seating.moves == 0
    seating = seating.arrived("w1.1")
    assert seating.moves == SHARDS
    assert set(seating.generations) == {3}
