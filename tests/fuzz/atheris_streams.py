"""Coverage-guided: octets into every stream core in every role, see `cores`.

`python -m tests.fuzz.atheris_streams CORPUS [libFuzzer's options]`; `campaign` runs it. What breaks
a promise is kept by libFuzzer as crash-… and shown.
"""

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["router.xmpp"]):
    from tests.fuzz import cores, mutate
    from tests.support.transcript import WORDS, load

TRANSCRIPTS = Path(__file__).resolve().parent.parent / "transcripts"


def one_input(data: bytes) -> None:
    """The first octet chooses the core, the second how the others are cut."""
    if len(data) < 2:
        return
    head, size, octets = cores.HEADS[data[0] % len(cores.HEADS)], data[1], data[2:]
    step = size if size > 8 else len(octets) or 1
    cores.run(head, [octets[at : at + step] for at in range(0, len(octets), step)])


def mutated(data: bytes, max_size: int, seed: int) -> bytes:
    """Half of the mutations know XML."""
    rng = random.Random(seed)
    if len(data) < 3 or rng.random() < 0.5:
        return bytes(atheris.Mutate(data, max_size))[:max_size]
    return (data[:2] + mutate.mutated(rng, data[2:]))[:max_size]


def main() -> None:
    """Sow what peers say in the transcripts, then fuzz until told otherwise."""
    for number, path in enumerate(sorted(TRANSCRIPTS.rglob("*.txt"))):
        said = "".join(step.text for step in load(path).steps if step.kind == "C")
        for word, meaning in WORDS.items():
            said = said.replace(f"{{{word}}}", meaning)
        for choice in range(len(cores.HEADS)):
            Path(sys.argv[1], f"seed-{number}-{choice}").write_bytes(
                bytes([choice, 0]) + said.encode()
            )
    atheris.Setup(sys.argv, one_input, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
