"""What Metre does, replayed by fakes: the one peer that takes reverse dialback and many pairs."""

import pytest

from bench.peers.fakes.profiles import PROFILES
from bench.peers.fakes.verifying import ServerStream
from router.xmpp import names
from router.xmpp.receiving import ReceivingStream
from tests.scenarios.stage import BENVOLIO, BY_DIALBACK, ROMEO, Stage, ids
from tests.support import pump
from tests.support.nodes import MONTAGUE
from tests.support.pump import BIDI, CAPULET, NOW, header, policy, say
from tests.support.scripted_peer import message

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.thorough]

METRE = PROFILES["metre"]


def is_proved(stream: ServerStream) -> bool:
    return bool(stream.receives or stream.sends)


KEY = f"<db:result from='{CAPULET}' to='{MONTAGUE}'>key</db:result>"


@pytest.mark.scenario(29)
@pytest.mark.parametrize("first", ["theirs", "ours"])
async def test_29_one_of_two_streams_stays_when_it_closes_its_own(stage: Stage, first: str) -> None:
    """Both connect at once. Whichever end it closes, all that waited arrives, once."""
    async with stage.fake(METRE) as fake:
        waits = fake.may_accept if first == "theirs" else fake.may_dial
        waits.clear()
        juliet = f"juliet@{fake.domain}"
        sent = [next(stage.numbers) for _ in range(20)]

        def tell(numbers: list[int]) -> None:
            for number in numbers:
                stage.tell(ROMEO, juliet, number)
                fake.send_stanza(message(juliet, ROMEO, f"n{number}"))

        tell(sent[:10])
        if first == "theirs":
            await stage.has_heard(sent[9])
        else:
            await fake.heard(f"id='n{sent[9]}'")
        waits.set()
        await fake.until(lambda: len(fake.connections) == 2 and all(map(is_proved, fake.streams)))
        tell(sent[10:])
        for number in sent:
            await stage.has_heard(number)
            await fake.heard(f"id='n{number}'")
        assert [ids(fake).count(f"n{number}") for number in sent] == [1] * 20
        assert [stage.components[MONTAGUE].numbers.count(number) for number in sent] == [1] * 20
        assert not [stream.error for stream in fake.connections if stream.error]


@pytest.mark.scenario(30)
async def test_30_bidi_in_plaintext_is_taken_only_where_plaintext_is_allowed() -> None:
    lenient = ReceivingStream(policy(MONTAGUE, tls_required=False), pump.ids(), NOW)
    _, offered = say(lenient, header())
    assert names.BIDI_FEATURE in offered
    say(lenient, BIDI)
    assert lenient.is_bidi

    strict = ReceivingStream(policy(MONTAGUE), pump.ids(), NOW)
    _, offered = say(strict, header())
    assert names.BIDI_FEATURE not in offered
    _, answer = say(strict, BIDI + KEY)
    assert not strict.is_bidi
    assert "<policy-violation " in answer
    assert strict.grants.receive == {}


@pytest.mark.scenario(31)
@pytest.mark.parametrize("proof", ["certificate", "dialback"])
async def test_31_no_stanza_leaves_before_its_pair_is_proved(stage: Stage, proof: str) -> None:
    """Each pair opens both ways, on whatever stream; a stanza too early would end all of them."""
    async with stage.fake(METRE, **(BY_DIALBACK if proof == "dialback" else {})) as fake:
        for sender in (ROMEO, BENVOLIO):
            for domain in sorted(fake.domains):
                await stage.echoed(fake, sender, domain)
        assert not fake.said("<stream:error", "out")
        assert not fake.said("<stream:error")


@pytest.mark.scenario(32)
async def test_32_its_further_domain_is_verified_elsewhere_and_answered_here(
    stage: Stage,
) -> None:
    async with stage.fake(METRE) as fake:
        also = next(iter(fake.domains - {fake.domain}))
        await stage.says(fake)
        await stage.hears(fake, domain=also)
        ours = fake.connections[0]
        key, *_ = fake.said("<db:result", "out")
        assert key.stream == ours.number and f'from="{also}"' in key.text
        answer = await fake.heard('type="valid"')
        assert answer.stream == ours.number
        (question,) = fake.said("<db:verify")
        assert question.stream != ours.number and not question.initiated
        await stage.says(fake, domain=also)


@pytest.mark.scenario(32)
async def test_32_a_key_that_nobody_vouches_for_is_answered_with_an_error(stage: Stage) -> None:
    async with stage.fake(METRE) as fake:
        also = next(iter(fake.domains - {fake.domain}))
        await stage.says(fake)
        ours = fake.connections[0]
        ours.write(f"<db:result from='{also}' to='{MONTAGUE}'>of no value</db:result>")
        answer = await fake.heard("<db:result", 1)
        assert answer.stream == ours.number
        assert 'type="error"' in answer.text
        await stage.echoed(fake)
        assert not ours.is_closing


@pytest.mark.scenario(33)
@pytest.mark.parametrize(
    "condition", ["policy-violation", "not-authorized", "forbidden", "not-acceptable"]
)
async def test_33_a_refused_key_costs_its_pair_alone(stage: Stage, condition: str) -> None:
    async with stage.fake(METRE, **BY_DIALBACK) as fake:
        also = next(iter(fake.domains - {fake.domain}))
        fake.refuses[also] = condition
        await stage.says(fake)
        number = next(stage.numbers)
        stage.tell(ROMEO, f"juliet@{also}", number)
        await stage.refused(number)
        assert fake.said('type="error"', "out")
        await stage.echoed(fake)
        assert not fake.connections[0].is_closing


@pytest.mark.scenario(34)
async def test_34_a_wrong_closing_tag_ends_the_stream_all_the_same(stage: Stage) -> None:
    async with stage.fake(METRE) as fake:
        await stage.says(fake)
        fake.connections[0].fail("undefined-condition")
        assert fake.said("</stream:close>", "out")
        await stage.has_streams(fake)
        await stage.echoed(fake)


@pytest.mark.scenario(35)
@pytest.mark.clause("ALT-01")
async def test_35_stanzas_without_a_stream_are_refused(stage: Stage) -> None:
    """XEP-0361 is nothing that the default port speaks."""
    peer = next(stage.scripted)
    arrived = stage.components[MONTAGUE].arrived
    wire = await peer.dial(stage.node.s2s_port)
    await wire.send(message(f"juliet@{peer.domain}", ROMEO, "n0"))
    answer = await wire.ended()
    assert "<stream:error>" in answer
    assert "<invalid-namespace " in answer or "<not-well-formed " in answer
    assert stage.components[MONTAGUE].arrived == arrived
