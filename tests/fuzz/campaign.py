"""`make fuzz`: mutated stanzas through all readers on every core, then coverage-guided targets.

Prints cases, accept rate, differences and coverage; differences are minimised and kept in found/.
Exit 1 on a difference. `python -m tests.fuzz.campaign --help` for what can be set.
"""

import argparse
import hashlib
import importlib.util
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.fuzz import mutate
from tests.fuzz.differential import Case, check
from tests.fuzz.oracle_rules import Bounds

FOUND: Final = Path(__file__).parent / "found"
BATCH: Final = 2000
KEPT: Final = 20
"""Differences minimised in one run, at most."""
TARGETS: Final = ("atheris_reader", "atheris_streams")
_STATUS: Final = re.compile(r"cov: (\d+) ft: (\d+)")


@dataclass(slots=True)
class Tally:
    """Of cases: how many, how many were read to their end, and which went wrong."""

    cases: int = 0
    accepted: int = 0
    elements: int = 0
    different: list[tuple[str, str]] = field(default_factory=list)
    """Seed of the case, and what differed."""

    def add(self, other: "Tally") -> None:
        self.cases += other.cases
        self.accepted += other.accepted
        self.elements += other.elements
        self.different += other.different


def batch(work: tuple[int, int, int]) -> Tally:
    """The cases from `first` on, `number` of them, of one seed."""
    seed, first, number = work
    tally = Tally()
    for index in range(first, first + number):
        name = f"{seed}.{index}"
        outcome = check(*seeded(name))
        tally.cases += 1
        tally.accepted += outcome.is_accepted
        tally.elements += outcome.stanzas
        if outcome.difference:
            tally.different.append((name, outcome.difference))
    return tally


def seeded(name: str) -> tuple[Case, random.Random | None]:
    """The case of this name, and how it is cut, if it is."""
    rng = random.Random(name)
    case = mutate.case(rng)
    return case, rng if rng.random() < 0.5 else None


def mutations(cases: int, seed: int, processes: int) -> Tally:
    """So many cases, all processes busy."""
    work = [(seed, first, min(BATCH, cases - first)) for first in range(0, cases, BATCH)]
    total = Tally()
    with multiprocessing.Pool(processes) as pool:
        for part in pool.imap_unordered(batch, work):
            total.add(part)
            for name, difference in part.different:
                print(f"  {name}: {difference[:200]}", flush=True)
            if total.cases % 100_000 < BATCH:
                print(f"  {total.cases:,} cases, {len(total.different)} differences", flush=True)
    return total


def differs(case: Case) -> str:
    """What differs, however the octets are cut."""
    return next(
        (
            found
            for cuts in (None, *(random.Random(number) for number in range(8)))
            if (found := check(case, cuts).difference)
        ),
        "",
    )


def minimised(case: Case) -> Case:
    """A case as short as cutting pieces out makes it, which still differs."""
    octets, size = case.octets, len(case.octets) // 2
    while size:
        at = 0
        while at < len(octets):
            shorter = octets[:at] + octets[at + size :]
            if differs(Case(shorter, case.content, case.bounds)):
                octets = shorter
            else:
                at += size
        size //= 2
    return Case(octets, case.content, case.bounds)


def keep(case: Case) -> Path:
    """The minimised case as a file, which `test_differential` reads from then on."""
    small = minimised(case) if differs(case) else case
    FOUND.mkdir(exist_ok=True)
    path = FOUND / f"{hashlib.sha256(small.octets).hexdigest()[:12]}.json"
    row = {
        "difference": differs(small),
        "content": small.content,
        "bounds": asdict(small.bounds),
        "octets_latin1": small.octets.decode("latin-1"),
    }
    path.write_text(json.dumps(row, indent=1) + "\n")
    return path


def kept() -> Iterator[tuple[str, Case]]:
    """Every case in found/, by its name."""
    for path in sorted(FOUND.glob("*.json")):
        row = json.loads(path.read_text())
        octets = row["octets_latin1"].encode("latin-1")
        yield path.stem, Case(octets, row["content"], Bounds(**row["bounds"]))


def guided(seconds: int, seed: int) -> bool:
    """The coverage-guided targets side by side for so long; whether all ended well."""
    with tempfile.TemporaryDirectory(prefix="causeway-fuzz-") as directory:
        running: list[tuple[str, Path, subprocess.Popen[Any]]] = []
        for name in TARGETS:
            corpus, log = Path(directory, name), Path(directory, f"{name}.log")
            corpus.mkdir()
            with log.open("wb") as output:
                command = [sys.executable, "-m", f"tests.fuzz.{name}", str(corpus)]
                options = [f"-max_total_time={seconds}", f"-seed={seed % 2**31 + 1}", "-timeout=20"]
                options += ["-rss_limit_mb=2048", "-max_len=4096", f"-artifact_prefix={corpus}/"]
                process = subprocess.Popen(
                    [*command, *options], stdout=output, stderr=subprocess.STDOUT
                )
            running.append((name, log, process))
        return all([_ended(name, log, process.wait()) for name, log, process in running])


def _ended(name: str, log: Path, status: int) -> bool:
    text = log.read_text(errors="replace")
    reached = _STATUS.findall(text)
    runs = re.findall(r"^#(\d+)\t", text, re.M)
    edges, features = reached[-1] if reached else ("0", "0")
    print(f"{name}: {int(runs[-1] if runs else 0):,} runs, {edges} edges, {features} features")
    if status:
        print(text[-4000:])
    return status == 0


def main() -> int:
    """Exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=1_000_000)
    options.add_argument("--seconds", type=int, default=600, help="for the guided targets")
    options.add_argument("--seed", type=int, default=None, help="default: another one each time")
    options.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    chosen = options.parse_args()
    seed = chosen.seed if chosen.seed is not None else int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    tally = mutations(chosen.cases, seed, chosen.processes)
    took = time.monotonic() - began
    rate = tally.accepted / max(tally.cases, 1)
    print(
        f"{tally.cases:,} mutated stanzas in {took:.0f} s: {rate:.1%} accepted,"
        f" {tally.elements:,} first-level elements compared, {len(tally.different)} differences"
    )
    for name, difference in tally.different[:KEPT]:
        print(f"{name}: {difference[:400]}\n  kept in {keep(seeded(name)[0])}")
    for kind, number in Counter(found.split(":")[0] for _, found in tally.different).most_common():
        print(f"  {number} times {kind}")
    good = not tally.different
    if chosen.seconds and importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: no coverage-guided run")
        good = False
    elif chosen.seconds:
        good &= guided(chosen.seconds, seed)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
