"""`causeway bench core`: what each stage of a stanza costs alone, in one process, without sockets.

Each stage handles the same chat messages in chunks as a busy stream delivers them. Figures are the
best of several rounds, in microseconds of CPU per stanza: the least disturbed by the machine.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.remote import CHUNK_BYTES, chat
from router.wire.codec import decode, encode
from router.wire.egress import Outlet
from router.wire.frames import Data, Forward
from router.wire.owner import Owner
from router.wire.shard import SHARDS
from router.xmpp import names, writer
from router.xmpp.grants import Grants
from router.xmpp.pair import DomainPair
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.reader import Limits, Reader
from router.xmpp.receiving import ReceivingStream
from router.xmpp.stanza import Counts

PAIR = DomainPair("capulet.lit", "montague.lit")
LIMITS = Limits(max_stanza_bytes=262_144, max_depth=64, max_attributes=64)
ROUNDS = 7
STANZAS = 20_000


@dataclass(frozen=True, slots=True)
class Stage:
    """The cost of one stage, in microseconds of CPU per stanza, and how it was fed."""

    name: str
    cpu_us: float
    stanzas_per_call: int
    what: str


def measure(*, rounds: int = ROUNDS, stanzas: int = STANZAS) -> list[Stage]:
    """All stages, in the order a stanza meets them; in each round about so many stanzas."""

    def stage(name: str, work: Callable[[], None], per_call: int, what: str) -> Stage:
        calls = max(1, stanzas // per_call)
        best_s = min(_cpu_s(work, calls) for _ in range(rounds))
        return Stage(name, best_s * 1e6 / (calls * per_call), per_call, what)

    stanza = chat(*PAIR)
    per_chunk = CHUNK_BYTES // len(stanza)
    chunk = stanza * per_chunk
    return [
        stage("reader", _reader(chunk), per_chunk, "octets → runs"),
        stage("reader, one by one", _reader(stanza), 1, "a stanza in each read"),
        stage("stream core", _core(chunk), per_chunk, "reader, grants, events"),
        stage("lanes", _lanes(chunk, per_chunk), per_chunk, "keep, take, report, free"),
        stage("frame codec", _codec(chunk, per_chunk), per_chunk, "two frames, both ways"),
        stage("frame codec, one by one", _codec(stanza, 1), 1, "a stanza in each frame"),
    ]


def _cpu_s(work: Callable[[], None], calls: int) -> float:
    started = time.process_time()
    for _ in range(calls):
        work()
    return time.process_time() - started


def _reader(octets: bytes) -> Callable[[], None]:
    reader = Reader(names.SERVER, LIMITS)
    reader.feed(writer.server_header(sender=PAIR.sender, target=PAIR.target, stream_id=None))
    reader.careful = False

    def work() -> None:
        reader.feed(octets)

    return work


def _core(octets: bytes) -> Callable[[], None]:
    policy = Policy(
        hosted=frozenset((PAIR.target,)),
        default_domain=PAIR.target,
        secret=b"of no importance",
        rule=lambda domain: PeerRule(),
        limits=LIMITS,
        before_proof=LIMITS,
        tls_required=False,
    )
    core = ReceivingStream(policy, lambda: "id", 0.0)
    header = writer.server_header(sender=PAIR.sender, target=PAIR.target, stream_id=None)
    core.receive_bytes(header, 0.0)
    core.peer_proved(PAIR, "external")

    def work() -> None:
        core.receive_bytes(octets, 0.0)

    return work


def _lanes(octets: bytes, stanzas: int) -> Callable[[], None]:
    owner, outlet = Owner([1] * SHARDS), Outlet(1, "tcp")
    lane = owner.open(PAIR, 1)
    counts = Counts(stanzas, 0, 0)
    grants = Grants(receive={PAIR: "external"})

    def work() -> None:
        grants.check_received(PAIR)
        data = owner.append(lane, counts, octets)
        outlet.take(_forward(data))
        outlet.flushed(data.first)
        outlet.acknowledged(data.first)
        for source, report in outlet.reports():
            owner.progress(source, report)

    return work


def _codec(octets: bytes, stanzas: int) -> Callable[[], None]:
    data = Data(1, 1, 1, Counts(stanzas, 0, 0), PAIR, 1, None, octets)

    def work() -> None:
        there = decode(encode(data))
        decode(encode(_forward(there)))

    return work


def _forward(data: object) -> Forward:
    assert isinstance(data, Data)
    return Forward(
        "a0.1",
        data.lane,
        data.epoch,
        data.first,
        data.counts,
        data.pair,
        data.generation,
        1,
        data.octets,
    )
