"""What Prosody 0.12 and 13 do, replayed by fakes. The rest of it is in `tests/processes`."""

from dataclasses import replace

import pytest

from bench.peers.fakes.profiles import PROFILES
from tests.scenarios.stage import BENVOLIO, BY_DIALBACK, ROMEO, Stage, ids
from tests.support.nodes import MONTAGUE, VERONA
from tests.support.scripted_peer import message

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.thorough]

PROSODY = PROFILES["prosody-0.12"]
WITH_ERRORS = replace(PROSODY, offers_dialback_errors=True)
"""No Prosody does; it lets the router believe that several pairs on a stream are welcome."""


@pytest.mark.scenario(3)
async def test_3_both_verify_and_end_with_two_streams(stage: Stage) -> None:
    async with stage.fake(PROSODY, **BY_DIALBACK) as fake:
        for _ in range(3):
            await stage.echoed(fake)
        assert len(fake.connections) == 2
        assert not [entry for entry in fake.said("id='n", "out") if not entry.initiated]
        await stage.has_streams(fake, ("in", "dialback", True), ("out", "dialback", True))


@pytest.mark.scenario(4)
async def test_4_each_pair_has_its_stream_where_no_errors_are_spoken(stage: Stage) -> None:
    async with stage.fake(PROSODY, **BY_DIALBACK) as fake:
        for sender in (ROMEO, BENVOLIO):
            for domain in sorted(fake.domains):
                await stage.echoed(fake, sender, domain)
        assert all(len(stream.receives) <= 2 for stream in fake.connections)
        theirs = [stream for stream in fake.connections if not stream.initiated]
        assert len(theirs) == 4
        assert not [stream.error for stream in fake.connections if stream.error]


@pytest.mark.scenario(4)
async def test_4_a_reply_on_the_stream_of_another_pair_is_refused_with_its_stream(
    stage: Stage,
) -> None:
    """Prosody takes two pairs on one stream, and answers the second on the connection of the first.

    What it says then is for a domain hosted here, though not agreed there: RTE-02 ends the stream
    with host-unknown, which is why such peers get a stream for each pair.
    """
    async with stage.fake(PROSODY, **BY_DIALBACK) as fake:
        await stage.echoed(fake)
        own = next(stream for stream in fake.streams if stream.initiated)
        heard = stage.components[VERONA].numbers[:]
        own.write(message(f"juliet@{fake.domain}", BENVOLIO, f"n{next(stage.numbers)}"))
        await fake.until(lambda: own.error == "host-unknown")
        assert stage.components[VERONA].numbers == heard
        await stage.echoed(fake)


@pytest.mark.scenario(5)
@pytest.mark.parametrize("profile", [PROSODY, WITH_ERRORS], ids=["as it is", "with errors"])
async def test_5_a_domain_it_lacks_costs_that_pair_alone(stage: Stage, profile: object) -> None:
    async with stage.fake(profile, also=(), **BY_DIALBACK) as fake:
        lacking = f"also.{fake.domain}"
        await stage.echoed(fake)
        number = next(stage.numbers)
        stage.tell(ROMEO, f"juliet@{lacking}", number)
        got = await stage.refused(number)
        assert {"remote-server-not-found", "item-not-found"} & set(got.inside), got
        await stage.echoed(fake)
        await stage.hears(fake)


@pytest.mark.scenario(11)
async def test_11_what_waits_for_its_own_stream_comes_on_it(stage: Stage) -> None:
    """The router answers that connection although a bidi stream of its own stands already."""
    async with stage.fake(PROSODY) as fake:
        fake.may_dial.clear()
        numbers = [next(stage.numbers) for _ in range(3)]
        juliet = f"juliet@{fake.domain}"
        fake.send_stanza(message(juliet, ROMEO, f"n{numbers[0]}"))
        await stage.says(fake)
        fake.send_stanza(message(juliet, ROMEO, f"n{numbers[1]}"))
        assert fake.connections[0].is_bidi
        assert not fake.said("<message", "out")
        fake.may_dial.set()
        fake.send_stanza(message(juliet, ROMEO, f"n{numbers[2]}"))
        for number in numbers:
            await stage.has_heard(number)
        came = stage.components[MONTAGUE].numbers
        assert [each for each in came if each in numbers] == numbers
        assert all(entry.initiated for entry in fake.said("<message", "out"))


@pytest.mark.scenario(15)
async def test_15_a_limit_in_the_bidi_request_is_honoured(stage: Stage) -> None:
    limited = replace(PROFILES["prosody-13"], bidi_limit_bytes=10_000)
    async with stage.fake(limited) as fake:
        await stage.hears(fake)
        assert fake.connections[0].is_bidi
        await stage.says(fake)
        number = next(stage.numbers)
        stage.tell(ROMEO, f"juliet@{fake.domain}", number, body="x" * 10_001)
        got = await stage.refused(number)
        assert "policy-violation" in got.inside or "not-acceptable" in got.inside, got
        await stage.says(fake)
        assert f"n{number}" not in ids(fake)
        assert len(fake.connections) == 1


@pytest.mark.scenario(16)
@pytest.mark.parametrize("proof", ["certificate", "dialback"])
async def test_16_what_comes_before_the_proof_is_small(stage: Stage, proof: str) -> None:
    async with stage.fake(PROSODY, **(BY_DIALBACK if proof == "dialback" else {})) as fake:
        await stage.echoed(fake)
        before = [entry for entry in fake.said("") if "<message" not in entry.text]
        assert max(len(entry.text) for entry in before) < 1000
