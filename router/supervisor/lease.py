"""The lease file: the numbers that must not go back when the supervisor is another one.

Versions of the membership, generations of shards and incarnations of processes fence what is old;
processes outlive their supervisor, so its successor counts on from here. Called by `roster`, which
writes every new number before anybody hears of it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from router.wire.shard import SHARDS


class BadLease(Exception):
    """The file is there and cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Lease:
    """`seats`, `spares`, `generations` and `last_owners` as in `membership.Seating`.

    `incarnations`: the last one of each slot, by role letter and number ("a0").
    """

    version: int
    seats: tuple[str, ...]
    spares: tuple[str, ...]
    generations: tuple[int, ...]
    last_owners: tuple[str, ...]
    crashed: tuple[str, ...] = ()
    incarnations: Mapping[str, int] = field(default_factory=dict)


def write_lease(lease: Lease, path: Path) -> None:
    """Put it there at one stroke. Raises OSError."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(lease)))
    draft.replace(path)


def read_lease(path: Path) -> Lease | None:
    """What `write_lease` wrote; None when there is none. Raises BadLease."""
    try:
        plain = json.loads(path.read_text())
        texts = {name: _texts(plain[name]) for name in ("seats", "spares", "crashed")}
        lease = Lease(
            version=int(plain["version"]),
            generations=tuple(map(int, plain["generations"])),
            last_owners=_texts(plain["last_owners"]),
            incarnations={str(slot): int(last) for slot, last in plain["incarnations"].items()},
            **texts,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadLease(f"{path} cannot be read: {type(error).__name__}: {error}") from None
    if not lease.seats or {len(lease.generations), len(lease.last_owners)} != {SHARDS}:
        raise BadLease(f"{path} is not of this version")
    return lease


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise TypeError("a list of texts wanted")
    return tuple(values)
