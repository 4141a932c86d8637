"""Coverage-guided: octets into the reader and both oracles; differences are kept in found/.

`python -m tests.fuzz.atheris_reader CORPUS [libFuzzer's options]`; `campaign` runs it. Mutations
are libFuzzer's and the grammar's, by turns.
"""

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["router.xmpp"]):
    from tests.fuzz import campaign, mutate
    from tests.fuzz.differential import Case, check


def case_of(data: bytes) -> Case:
    """The first octet chooses header and limits, the others follow the header."""
    choice = data[0]
    content, header = mutate.HEADERS[choice % len(mutate.HEADERS)]
    bounds = mutate.BOUNDS[choice // 128]
    if choice & 0x40:  # the header is among the octets
        return Case(data[1:], content, bounds)
    octets = header.encode()
    return Case(octets + data[1:] + mutate.closing(octets), content, bounds)


def one_input(data: bytes) -> None:
    """What libFuzzer calls."""
    if not data:
        return
    case = case_of(data)
    outcome = check(case, random.Random(data[0]))
    if outcome.difference:
        path = campaign.keep(case)
        raise AssertionError(f"{outcome.difference} (kept in {path})")


def mutated(data: bytes, max_size: int, seed: int) -> bytes:
    """Half of the mutations know XML."""
    rng = random.Random(seed)
    if len(data) < 2 or rng.random() < 0.5:
        return bytes(atheris.Mutate(data, max_size))[:max_size]
    return (data[:1] + mutate.mutated(rng, data[1:]))[:max_size]


def main() -> None:
    """Sow the corpus, then fuzz until told otherwise."""
    for number, stanza in enumerate(mutate.CORPUS):
        for choice in range(len(mutate.HEADERS)):
            path = Path(sys.argv[1], f"seed-{number}-{choice}")
            path.write_bytes(bytes([choice]) + stanza)
    atheris.Setup(sys.argv, one_input, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
