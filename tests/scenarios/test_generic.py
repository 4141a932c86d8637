"""What holds toward every peer: simultaneous dialling, streams that break, and how many there are.

Scenarios 43 to 48 are in `tests/processes/test_scenarios.py`, by scripted peers.
"""

from collections import Counter
from itertools import groupby

import pytest

from bench.peers.fakes.fake import Fake
from tests.scenarios.stage import BY_DIALBACK, ROMEO, Stage, ids
from tests.support.component import settled
from tests.support.nodes import MONTAGUE
from tests.support.scripted_peer import message

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.thorough]

BURST = 500  # fewer than the queue of a pair takes


@pytest.mark.scenario(49)
@pytest.mark.parametrize("first", ["theirs", "ours"])
async def test_49_after_both_dialled_one_stream_carries_all_in_order(
    stage: Stage, first: str
) -> None:
    async with stage.fake("plain") as fake:
        waits = fake.may_accept if first == "theirs" else fake.may_dial
        waits.clear()
        juliet = f"juliet@{fake.domain}"
        numbers = [next(stage.numbers) for _ in range(200)]

        def tell(some: list[int]) -> None:
            for number in some:
                stage.tell(ROMEO, juliet, number)
                fake.send_stanza(message(juliet, ROMEO, f"n{number}"))

        tell(numbers[:100])
        if first == "theirs":
            await stage.has_heard(numbers[99])
        else:
            await fake.heard(f"id='n{numbers[99]}'")
        waits.set()
        await fake.until(lambda: len(fake.connections) == 2)
        tell(numbers[100:])
        await both_have(stage, fake, numbers)
        await fake.until(lambda: len(fake.streams) == 1)
        last = [next(stage.numbers) for _ in range(10)]
        tell(last)
        await both_have(stage, fake, last)
        assert not [stream.error for stream in fake.connections if stream.error]
        assert len(fake.connections) == 2
        assert [each for each in ids(fake) if each] == [f"n{each}" for each in numbers + last]


async def both_have(stage: Stage, fake: Fake, numbers: list[int]) -> None:
    """Each side has these, each of them once."""
    for number in numbers:
        await stage.has_heard(number)
        await fake.until(lambda: f"n{number}" in ids(fake))  # noqa: B023
    for came in (Counter(ids(fake)), Counter(f"n{n}" for n in stage.components[MONTAGUE].numbers)):
        assert {came[f"n{number}"] for number in numbers} == {1}


@pytest.mark.scenario(50)
@pytest.mark.parametrize("dialled_by", ["node", "peer"])
async def test_50_what_was_not_written_goes_on_the_next_stream(
    stage: Stage, dialled_by: str
) -> None:
    """What was written and not acknowledged comes back, and nothing is written twice.

    Without XEP-0198 TCP acknowledges: what came back says "delivery unknown" and may have been
    read; what the peer's kernel had and its server never read is missing, but only before that.
    """
    async with stage.fake("plain") as fake:
        await (stage.says(fake) if dialled_by == "node" else stage.hears(fake))
        romeo, juliet = stage.components[MONTAGUE], f"juliet@{fake.domain}"
        numbers = [next(stage.numbers) for _ in range(BURST)]
        for number in numbers:
            stage.tell(ROMEO, juliet, number)
        await fake.until(lambda: f"n{numbers[5]}" in ids(fake))
        fake.connections[0].link.abort()
        await fake.until(lambda: fake.connections[0].is_over)
        read = len(ids(fake))

        def back() -> Counter[str]:
            return Counter(got.attributes["id"] for got in romeo.others if got.kind == "error")

        def fate(number: int) -> str:
            name = f"n{number}"
            came, returned = ids(fake).count(name), back()[name]
            assert came <= 1 and returned <= 1, name
            if came and ids(fake).index(name) >= read:
                assert not returned, name
                return "next"
            return "read" if came else "back" if returned else "lost"

        while fate(numbers[-1]) != "next":  # the router may write some before it knows
            numbers.append(next(stage.numbers))
            stage.tell(ROMEO, juliet, numbers[-1])

            async def is_decided() -> bool:
                return fate(numbers[-1]) != "lost"

            await settled(is_decided)
        fates = [kind for kind, _ in groupby(map(fate, numbers))]
        order = ["read", "lost", "back", "next"]
        assert fates == [kind for kind in order if kind in fates]


@pytest.mark.scenario(51)
@pytest.mark.parametrize(
    ("name", "proof", "standing", "transient"),
    [
        ("plain", "certificate", 1, 0),
        ("prosody-0.12", "certificate", 1, 0),
        ("ejabberd-26.07", "certificate", 1, 0),
        ("openfire", "certificate", 2, 0),
        ("prosody-0.12", "dialback", 2, 0),
        ("ejabberd-26.07", "dialback", 1, 1),
        ("jabberd2", "dialback", 2, 1),
    ],
)
async def test_51_how_many_connections_a_pair_needs(
    stage: Stage, name: str, proof: str, standing: int, transient: int
) -> None:
    async with stage.fake(name, **(BY_DIALBACK if proof == "dialback" else {})) as fake:
        for _ in range(3):
            await stage.echoed(fake)
        await fake.until(lambda: len(fake.streams) == standing)
        assert len([stream for stream in fake.connections if stream.for_keys]) == transient
        assert len(fake.connections) == standing + transient
        assert all(mechanism == EXPECTED[proof] for _, mechanism, _ in await stage.streams(fake))


EXPECTED = {"certificate": "external", "dialback": "dialback"}
