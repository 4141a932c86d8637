"""Numbers that rise, and are in the lease before anybody hears of them."""

from pathlib import Path

import pytest

from router.supervisor.lease import read_lease
from router.supervisor.membership import NOBODY
from router.supervisor.processes import Child
from router.supervisor.roster import Roster
from router.wire.control import CRASHED_KEPT


def acceptor(number: int, *, retiring: bool = False) -> Child:
    return Child("acceptor", 0, number, 1, -1, None, 0.0, 0.0, ready_s=0.0, retiring=retiring)


def roster(tmp_path: Path, seats: int = 2) -> Roster:
    """One that goes on where the lease in the directory says."""
    return Roster(tmp_path, tmp_path / "lease", seats, read_lease(tmp_path / "lease"))


def test_numbers_go_on_under_another_supervisor(tmp_path: Path) -> None:
    first = roster(tmp_path)
    assert [first.next_incarnation("worker", 0) for _ in range(2)] == [1, 2]
    for worker in ("w0.2", "w1.1", "w2.1"):
        first.arrived(worker)
    assert first.announcement([acceptor(1)])
    second = roster(tmp_path)
    assert second.next_incarnation("worker", 0) == 3
    assert second.seating.seats == ("w0.2", "w1.1")
    assert second.seating.spares == ("w2.1",)
    second.only(["w0.2", "w2.1"])
    second.arrived("w0.2")
    assert second.announcement([acceptor(1)])
    assert second.membership.version > first.membership.version
    risen = [
        new - old
        for old, new in zip(
            first.membership.generations, second.membership.generations, strict=True
        )
    ]
    moved = [owner == "w1.1" for owner in first.membership.owners]
    assert risen == [int(each) for each in moved], "only the dead one's shards"


def test_with_another_number_of_seats_generations_rise_all_the_same(tmp_path: Path) -> None:
    first = roster(tmp_path)
    first.arrived("w0.1")
    first.announcement(())
    second = roster(tmp_path, seats=3)
    assert set(second.seating.seats) == {NOBODY}
    pairs = zip(first.seating.generations, second.seating.generations, strict=True)
    assert all(old < new for old, new in pairs)


def test_nothing_new_is_no_announcement(tmp_path: Path) -> None:
    it = roster(tmp_path)
    assert it.announcement([acceptor(1)])
    version = it.membership.version
    assert not it.announcement([acceptor(1)])
    assert it.announcement([acceptor(1, retiring=True), acceptor(2)])
    assert it.membership.version == version + 1
    assert it.membership.retiring == ("a0.1",)


def test_who_speaks_another_version_is_named(tmp_path: Path) -> None:
    it = roster(tmp_path)
    assert it.announcement([acceptor(1)])
    assert it.membership.speaks == ()
    earlier = Child("worker", 3, 1, 1, -1, None, 0.0, 0.0, ready_s=0.0, speaks=1)
    assert it.announcement([acceptor(1), earlier])
    assert it.membership.speaks == (("w3.1", 1),)
    assert it.membership.acceptors[0][0] == "a0.1"
    assert it.announcement([acceptor(1)])
    assert it.membership.speaks == ()


def test_the_last_crashes_are_kept(tmp_path: Path) -> None:
    it = roster(tmp_path)
    for number in range(CRASHED_KEPT + 3):
        it.crashed(f"w0.{number}")
    assert it.announcement(())
    assert it.membership.crashed[0] == "w0.3"
    assert len(it.membership.crashed) == CRASHED_KEPT
    assert roster(tmp_path).membership.crashed == it.membership.crashed


def test_a_lease_that_cannot_be_written_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    it = Roster(tmp_path, tmp_path / "nowhere" / "lease", 1, None)
    assert it.next_incarnation("acceptor", 0) == 1
    assert it.next_incarnation("acceptor", 0) == 2
    said = capsys.readouterr()
    assert "lease.not_written" in said.out + said.err
