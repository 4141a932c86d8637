"""Every stream core, fed with what peers say and with anything else: it keeps `cores`' promises."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import cores, mutate
from tests.fuzz.test_streams import FRAGMENTS, TRANSCRIPTS
from tests.support.transcript import WORDS


def said_by_peers() -> list[bytes]:
    """What comes in, in the transcripts."""
    lines = []
    for transcript in TRANSCRIPTS:
        text = "".join(step.text for step in transcript.steps if step.kind == "C")
        for word, meaning in WORDS.items():
            text = text.replace(f"{{{word}}}", meaning)
        lines.append(text.encode())
    return lines


SAID = said_by_peers()


@pytest.mark.clause("STR-17", "XML-02")
@pytest.mark.parametrize("head", cores.HEADS, ids=lambda head: f"{head['role']} {head['policy']}")
def test_mutated_conversations(head: dict[str, str]) -> None:
    for number in range(150):
        rng = random.Random(number)
        octets = mutate.mutated(rng, rng.choice(SAID))
        step = rng.choice((len(octets) or 1, 30))
        cores.run(head, [octets[at : at + step] for at in range(0, len(octets), step)])


@given(
    st.sampled_from(cores.HEADS),
    st.lists(st.one_of(st.binary(max_size=30), st.sampled_from([*FRAGMENTS, *SAID])), max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_any_octets(head: dict[str, str], parts: list[bytes]) -> None:
    cores.run(head, parts)
