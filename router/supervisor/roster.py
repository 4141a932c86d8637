"""Who is here, by number: seats and shards, incarnations, and the membership told of them.

Owns the lease file: whatever rises is written before anybody hears of it. The supervisor reports
arrivals, ends and retirements, and sends what `announcement` returns.
"""

from collections.abc import Iterable
from pathlib import Path

from router.log import logger
from router.supervisor.lease import Lease, write_lease
from router.supervisor.membership import NOBODY, Seating
from router.supervisor.processes import Child, Role
from router.wire.control import CRASHED_KEPT, SPOKEN, Membership
from router.wire.endpoints import bus_endpoint

log = logger(__name__)


class Roster:
    """`lease` is what an earlier supervisor of this run directory left; None: there was none."""

    def __init__(self, run_dir: Path, lease_file: Path, seats: int, lease: Lease | None) -> None:
        self._run_dir = run_dir
        self._lease_file = lease_file
        self.seating = Seating.vacant(seats)
        self._crashed: tuple[str, ...] = ()
        self._incarnations: dict[str, int] = {}
        version = 0
        if lease is not None:
            self.seating = Seating.resumed(
                seats, lease.seats, lease.spares, lease.generations, lease.last_owners
            )
            self._crashed = lease.crashed
            self._incarnations = dict(lease.incarnations)
            version = lease.version
        self.membership = self._current(version, ())

    def next_incarnation(self, role: Role, slot: int) -> int:
        """A number that no process of this slot has had."""
        place = f"{role[0]}{slot}"
        self._incarnations[place] = self._incarnations.get(place, 0) + 1
        self._write()
        return self._incarnations[place]

    def arrived(self, worker: str) -> None:
        """A worker is ready."""
        if worker not in (*self.seating.seats, *self.seating.spares):
            self.seating = self.seating.arrived(worker)

    def left(self, worker: str) -> None:
        """A worker ended, or is to: its shards go to a spare."""
        self.seating = self.seating.left(worker)

    def only(self, workers: Iterable[str]) -> None:
        """Of those who were here, nobody but these is."""
        here = {*workers, NOBODY}
        for worker in (*self.seating.seats, *self.seating.spares):
            if worker not in here:
                self.left(worker)

    def crashed(self, worker: str) -> None:
        """A worker ended by a fault of its own."""
        self._crashed = (*self._crashed, worker)[-CRASHED_KEPT:]

    def announcement(self, serving: Iterable[Child]) -> bool:
        """Whether anything has changed since the last time; then `membership` is the new one.

        `serving`: the acceptors and workers that are ready.
        """
        serving = tuple(serving)
        if self._current(self.membership.version, serving) == self.membership:
            return False
        self.membership = self._current(self.membership.version + 1, serving)
        self._write()
        return True

    def _current(self, version: int, serving: tuple[Child, ...]) -> Membership:
        acceptors = [child for child in serving if child.role == "acceptor"]
        return Membership(
            version,
            tuple((child.id, bus_endpoint(self._run_dir, child.id)) for child in acceptors),
            self.seating.owners,
            self.seating.generations,
            tuple(child.id for child in acceptors if child.retiring),
            self._crashed,
            tuple((child.id, child.speaks) for child in serving if child.speaks != SPOKEN),
        )

    def _write(self) -> None:
        seating = self.seating
        lease = Lease(
            self.membership.version,
            seating.seats,
            seating.spares,
            seating.generations,
            seating.last_owners,
            self._crashed,
            self._incarnations,
        )
        try:
            write_lease(lease, self._lease_file)
        except OSError as error:  # in here the numbers rise all the same
            log.error("lease.not_written", reason=str(error))
