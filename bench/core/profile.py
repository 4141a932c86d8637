"""The profile of a stanza: CPU by stage, for several sizes, readers, and without reliability.

In every round each journey carries its load once, in turn, every other round from the last to the
first, so that what the machine does in the meantime falls on all of them alike.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench.authority import Authority
from bench.core.alone import PAIR
from bench.core.journey import STAGES, Journey
from bench.remote import STANZA_BYTES, chat
from router.acceptor.certificates.credential import read_credential
from router.acceptor.layer import CHUNK_BYTES
from router.xmpp.reader import pure

SIZES_BYTES: Final = (100, STANZA_BYTES, 4096, 65_536)
_LOAD_BYTES: Final = 8_000_000
_LEAST_STANZAS: Final = 100

Sample = dict[str, float]
"""Stage → microseconds of CPU per stanza, in one round."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a journey is of. `apart`: each stanza in a read of its own, as on a quiet stream."""

    size_bytes: int
    reader: str
    apart: bool
    is_reliable: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """One journey, a sample for each round."""

    kind: Kind
    stanzas: int
    samples: tuple[Sample, ...]

    def stage_us(self, stage: str) -> float:
        """The median of the rounds."""
        return median(sample.get(stage, 0.0) for sample in self.samples)

    def totals_us(self) -> list[float]:
        """All stages together, round by round."""
        return [sum(sample.values()) for sample in self.samples]


@dataclass(frozen=True, slots=True)
class _Load:
    kind: Kind
    stanzas: int
    journey: Journey

    def carry(self) -> Sample:
        """One round. Raises RuntimeError for a stanza that did not come through."""
        stanza = message(self.kind.size_bytes)
        per_chunk = 1 if self.kind.apart else max(1, CHUNK_BYTES // len(stanza))
        whole, rest = divmod(self.stanzas, per_chunk)
        chunks = [stanza * per_chunk] * whole + ([stanza * rest] if rest else [])
        reads = self.journey.ciphertext(chunks, apart=self.kind.apart)
        self.journey.watch.take_us()
        handed = self.journey.handed()
        left = self.journey.carry(reads)
        spent_us = self.journey.watch.take_us()
        handed = self.journey.handed() - handed
        if left != self.stanzas or (self.kind.is_reliable and handed != self.stanzas):
            raise RuntimeError(f"{left} of {self.stanzas} stanzas left, {handed} are known to")
        return {stage: spent_us.get(stage, 0.0) / self.stanzas for stage in STAGES}


def message(size_bytes: int) -> bytes:
    """A message of exactly so many octets: a chat message where that is enough for one."""
    if size_bytes >= STANZA_BYTES:
        return chat(*PAIR, size_bytes)
    head, tail = f"<message from='a@{PAIR.sender}' to='b@{PAIR.target}'><body>", "</body></message>"
    filling = size_bytes - len(head) - len(tail)
    if filling < 0:
        raise ValueError(f"a message has at least {size_bytes - filling} octets")
    return f"{head}{'x' * filling}{tail}".encode()


def kinds(readers: Sequence[str], sizes_bytes: Sequence[int]) -> list[Kind]:
    """All journeys: busy streams of each size, and lone stanzas of one; with and without."""
    return [
        Kind(size_bytes, reader, apart, is_reliable)
        for reader in readers
        for size_bytes, apart in (*((size, False) for size in sizes_bytes), (STANZA_BYTES, True))
        for is_reliable in (True, False)
    ]


def measure(
    readers: Mapping[str, type[pure.Reader]],
    *,
    sizes_bytes: Sequence[int] = SIZES_BYTES,
    rounds: int,
    load_bytes: int = _LOAD_BYTES,
    say: Callable[[str], None] = lambda _: None,
) -> list[Profile]:
    """Every journey in every round; to be called inside a running loop, which it holds up."""
    wanted = kinds(tuple(readers), sizes_bytes)
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as directory, ExitStack() as stack:
        root = Path(directory)
        Authority.make(root).issue(PAIR.target)
        credential = read_credential(root / f"{PAIR.target}.crt", root / f"{PAIR.target}.key")
        loads = []
        for number, kind in enumerate(wanted):
            home = root / str(number)
            home.mkdir()
            journey = Journey(readers[kind.reader], credential, home, is_reliable=kind.is_reliable)
            stack.enter_context(closing(journey))
            stanzas = max(_LEAST_STANZAS, load_bytes // kind.size_bytes)
            loads.append(_Load(kind, stanzas // (10 if kind.apart else 1), journey))
        samples: dict[Kind, list[Sample]] = {kind: [] for kind in wanted}
        for load in loads:
            load.carry()
        for number in range(rounds):
            say(f"the way of a stanza, round {number + 1} of {rounds}")
            for load in loads if number % 2 == 0 else reversed(loads):
                samples[load.kind].append(load.carry())
        return [Profile(load.kind, load.stanzas, tuple(samples[load.kind])) for load in loads]
