"""How much memory a node may come to need: the sum of its pools' bounds, from the configuration.

Pure. `causeway check` prints it, the supervisor exports it as causeway_memory_budget_bytes, and
`causeway run` holds it against the limit of its control group. Resident memory, all processes
together, stays below it. Figures of what things cost are measured (bench/README.md, idle).
"""

from dataclasses import dataclass
from typing import Final

from router.config import Config, Limits

MIB: Final = 1 << 20

_SUPERVISOR_BYTES: Final = 88 * MIB
_ACCEPTOR_BYTES: Final = 72 * MIB
_WORKER_BYTES: Final = 48 * MIB
_SPARES: Final = 1
"""Workers that stand by."""

_STREAM_BYTES: Final = 80 * 1024
"""An idle stream with TLS: 71 KiB with 5,000 of them, and its part of the tables."""
_KEPT: Final = 2.0
"""Octets in memory for each in retention: a run of one short stanza is as much again in objects."""
_ON_ITS_WAY: Final = 1.5
"""And outside retention. A kept run is in one more place: on the bus, in a worker's backlog, or in
a stream's buffer, there once plain and once encrypted at most."""

_NAME_BYTES: Final = 2048  # in the DNS cache, with its answers
_TABLES_BYTES: Final = 48 * MIB
"""Peer memory (4,096 domains), notes (1,024 pairs of 32, as many of strangers), back-off."""
_LANES_BYTES: Final = 40 * MIB
"""A worker's records of 65,536 lanes."""


@dataclass(frozen=True, slots=True)
class Pool:
    """One part: what it is for, octets in all processes together, the limits that bound it."""

    name: str
    octets: int
    limits: tuple[str, ...] = ()


def pools(config: Config) -> tuple[Pool, ...]:
    """All parts. While processes are replaced there is one more of each (`causeway restart`)."""
    limits, acceptors = config.limits, config.processes.acceptors
    workers = config.processes.workers + _SPARES + 1
    programs = (
        _SUPERVISOR_BYTES
        + (acceptors + 1) * (_ACCEPTOR_BYTES + _TABLES_BYTES)
        + workers * (_WORKER_BYTES + _LANES_BYTES)
    )
    each = {
        "streams": (limits.connections * _STREAM_BYTES, ("limits.connections",)),
        "negotiation": (
            min(limits.unauthenticated_connections, limits.connections) * limits.max_preauth_bytes,
            ("limits.unauthenticated_connections", "limits.max_preauth_bytes"),
        ),
        "stanzas": (_stanzas(limits), ("limits.retention_bytes", "limits.max_stanza_bytes")),
        "output": (limits.output_total_bytes, ("limits.output_total_bytes",)),
        "DNS": (config.dns.cache_names * _NAME_BYTES, ("dns.cache_names",)),
    }
    return (
        Pool("programs", programs, ("processes.acceptors", "processes.workers")),
        *(Pool(name, acceptors * octets, of) for name, (octets, of) in each.items()),
    )


def budget_bytes(config: Config) -> int:
    """The sum."""
    return sum(pool.octets for pool in pools(config))


def _stanzas(limits: Limits) -> int:
    """Retention is one stanza over its bound at most: then nobody is read any more."""
    return int((limits.retention_bytes + limits.max_stanza_bytes) * (_KEPT + _ON_ITS_WAY))


def words(config: Config) -> str:
    """The sum and its parts, the largest first, for people."""
    parts = sorted(pools(config), key=lambda pool: -pool.octets)
    shown = ", ".join(f"{pool.name} {pool.octets / MIB:,.0f}" for pool in parts)
    return f"{budget_bytes(config) / MIB:,.0f} MiB at most ({shown})"


def too_much(config: Config, limit_bytes: int, share: float = 0.8) -> str:
    """Why the node is not to start under this limit on memory, and what to lower; "" when it may.

    The rest is the kernel's: socket buffers and page tables count against the same limit.
    """
    if budget_bytes(config) <= limit_bytes * share:
        return ""
    largest = sorted(pools(config), key=lambda pool: -pool.octets)
    keys = ", ".join(dict.fromkeys(key for pool in largest[:3] for key in pool.limits))
    limit = f"{limit_bytes / MIB:,.0f} MiB"
    return (
        f"it may need {words(config)}, which is more than {share:.0%} of the {limit} that its "
        f"control group has; raise that, or lower {keys}"
    )
