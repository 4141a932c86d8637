"""Parts of the program alone: the same chat messages over and over through one of them.

Each is handed them in chunks as a busy stream delivers them, and some of them one by one, too.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.remote import CHUNK_BYTES, chat
from router.wire.codec import decode, encode
from router.wire.egress import Outlet
from router.wire.frames import Forward
from router.wire.leases import Leases
from router.wire.owner import Owner, Straight
from router.wire.shard import SHARDS
from router.xmpp import names, writer
from router.xmpp.grants import Grants
from router.xmpp.pair import DomainPair
from router.xmpp.perspective import outside
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.reader import Limits, pure
from router.xmpp.receiving import ReceivingStream
from router.xmpp.stanza import Counts

PAIR: Final = DomainPair("capulet.lit", "montague.lit")
LIMITS: Final = Limits(max_stanza_bytes=262_144, max_depth=64, max_attributes=64)
ROUNDS: Final = 7
STANZAS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Part:
    """The cost of one part in microseconds of CPU per stanza, a sample for each round."""

    name: str
    stanzas_per_call: int
    what: str
    samples_us: tuple[float, ...]

    @property
    def best_us(self) -> float:
        """Of the round that the machine disturbed least."""
        return min(self.samples_us)

    @property
    def median_us(self) -> float:
        return median(self.samples_us)


@dataclass(frozen=True, slots=True)
class _Work:
    name: str
    stanzas_per_call: int
    what: str
    call: Callable[[], None]


def measure(
    readers: Mapping[str, type[pure.Reader]],
    *,
    rounds: int = ROUNDS,
    stanzas: int = STANZAS,
    say: Callable[[str], None] = lambda _: None,
) -> list[Part]:
    """All parts in the order a stanza meets them; in each round each has about so many stanzas."""
    works = list(_works(readers))
    samples: dict[str, list[float]] = {work.name: [] for work in works}
    for number in range(rounds):
        say(f"parts alone, round {number + 1} of {rounds}")
        for work in works:
            calls = max(1, stanzas // work.stanzas_per_call)
            used_us = _cpu_s(work.call, calls) * 1e6
            samples[work.name].append(used_us / (calls * work.stanzas_per_call))
    return [
        Part(work.name, work.stanzas_per_call, work.what, tuple(samples[work.name]))
        for work in works
    ]


def _works(readers: Mapping[str, type[pure.Reader]]) -> list[_Work]:
    stanza = chat(*PAIR)
    per_chunk = CHUNK_BYTES // len(stanza)
    chunk = stanza * per_chunk
    reading = [
        work
        for name, reader in readers.items()
        for work in (
            _Work(f"reader, {name}", per_chunk, "octets to runs", _reader(reader, chunk)),
            _Work(
                f"reader, {name}, one by one", 1, "a stanza in each read", _reader(reader, stanza)
            ),
        )
    ]
    return [
        *reading,
        _Work("stream core", per_chunk, "reader in use, grants, events", _core(chunk)),
        _Work("lanes", per_chunk, "keep, take, report, free", _lanes(chunk, per_chunk)),
        _Work("frame codec", per_chunk, "a run, both ways", _codec(chunk, per_chunk)),
        _Work("frame codec, one by one", 1, "a stanza in each frame", _codec(stanza, 1)),
    ]


def _cpu_s(work: Callable[[], None], calls: int) -> float:
    started = time.process_time()
    for _ in range(calls):
        work()
    return time.process_time() - started


def header() -> bytes:
    """What a peer's stream begins with."""
    return writer.server_header(sender=PAIR.sender, target=PAIR.target, stream_id=None)


def policy() -> Policy:
    """Of a node that hosts the target and asks for no TLS."""
    return Policy(
        perspective=outside(frozenset((PAIR.target,))),
        default_domain=PAIR.target,
        secret=b"of no importance",
        rule=lambda domain: PeerRule(),
        limits=LIMITS,
        before_proof=LIMITS,
        tls_required=False,
    )


def _reader(kind: type[pure.Reader], octets: bytes) -> Callable[[], None]:
    reader = kind(names.SERVER, LIMITS)
    reader.feed(header())
    reader.careful = False

    def work() -> None:
        reader.feed(octets)

    return work


def _core(octets: bytes) -> Callable[[], None]:
    core = ReceivingStream(policy(), lambda: "id", 0.0)
    core.receive_bytes(header(), 0.0)
    core.peer_proved(PAIR, "external")

    def work() -> None:
        core.receive_bytes(octets, 0.0)

    return work


def _lanes(octets: bytes, stanzas: int) -> Callable[[], None]:
    leases = Leases()
    for shard in range(SHARDS):
        leases.lease(shard, "w0.1", 1)
        leases.live[shard] = True
    leases.acceptors.add("a0.1")
    owner, outlet = Owner("a0.1", leases), Outlet(1, "tcp")
    lane = owner.open(PAIR, 1)
    counts = Counts(stanzas, 0, 0)
    grants = Grants(receive={PAIR: "external"})

    def work() -> None:
        grants.check_received(PAIR)
        sending = owner.append(lane, counts, octets)
        frame = sending.frame if isinstance(sending, Straight) else _forward(1, counts, octets)
        outlet.judge(frame)
        outlet.take(frame, stanzas)
        outlet.flushed(frame.first)
        outlet.acknowledged(frame.first)
        for source, report in outlet.reports():
            owner.progress(source, report)

    return work


def _codec(octets: bytes, stanzas: int) -> Callable[[], None]:
    frame = _forward(1, Counts(stanzas, 0, 0), octets)

    def work() -> None:
        decode(encode(frame))

    return work


def _forward(first: int, counts: Counts, octets: bytes) -> Forward:
    """A run as a worker forwards it."""
    return Forward("a0.1", 1, 1, first, counts, PAIR, 1, 1, first - 1, octets)
