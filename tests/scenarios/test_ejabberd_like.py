"""What ejabberd from 24.10 to 26.07 does, replayed by fakes; the packaged one has no bidi."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from bench.authority import Authority
from bench.peers.fakes import words
from bench.peers.fakes.profiles import PROFILES
from bench.peers.fakes.stream import Pair
from tests.scenarios.stage import BENVOLIO, BY_DIALBACK, ROMEO, Stage, staged
from tests.support.nodes import MONTAGUE
from tests.support.scripted_peer import message

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.thorough]

EJABBERD = PROFILES["ejabberd-26.07"]
IDLE_S = 1.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lenient_stage(
    tmp_path_factory: pytest.TempPathFactory, issuer: Authority
) -> AsyncIterator[Stage]:
    """A node that does not insist on TLS, so offers more than STARTTLS before it."""
    directory: Path = tmp_path_factory.mktemp("lenient")
    async with staged(directory, issuer, settings={"tls": {"required": False}}) as found:
        yield found


@pytest.mark.scenario(17)
async def test_17_bidi_offered_again_after_the_proof_is_not_asked_for_again(stage: Stage) -> None:
    async with stage.fake(EJABBERD) as fake:
        await stage.echoed(fake)
        assert len(fake.said("<bidi xmlns='urn:xmpp:features:bidi'/>", "out")) == 2
        assert len(fake.said("<bidi ")) == 1
        await stage.has_streams(fake, ("out", "external", True))


@pytest.mark.scenario(18)
async def test_18_bidi_asked_for_in_plaintext_counts_only_inside_tls(
    lenient_stage: Stage,
) -> None:
    stage = lenient_stage
    async with stage.fake(EJABBERD) as fake:
        await stage.hears(fake)
        assert [entry.text[:5] for entry in fake.said("bidi", "out")] == ["<bidi", "<bidi"]
        await stage.says(fake)
        await stage.has_streams(fake, ("in", "external", True))
    only_once = replace(PROFILES["plain"], asks_in_plaintext=True, asks_inside_tls=False)
    async with stage.fake(only_once) as fake:
        await stage.hears(fake)
        await stage.has_streams(fake, ("in", "external", False))


@pytest.mark.scenario(19)
async def test_19_nothing_but_starttls_is_said_in_plaintext(stage: Stage) -> None:
    async with stage.fake(EJABBERD) as fake:
        await stage.says(fake)
        first = [entry.text for entry in fake.transcript]
        plain = first[: first.index(words.PROCEED)]
        assert [text.split()[0] for text in plain] == [
            "<stream:stream",
            "<?xml",
            "<stream:features><starttls",
            "<starttls",
        ]


@pytest.mark.scenario(20)
async def test_20_a_bidi_request_that_costs_the_stream_is_not_made_again(stage: Stage) -> None:
    async with stage.fake("ejabberd-24.10") as fake:
        await stage.says(fake)
        assert len(fake.said("urn:xmpp:bidi")) == 1
        assert fake.said("<not-authorized", "out")
        for stream in fake.streams:
            stream.close()
        await fake.until(lambda: not fake.streams)
        await stage.says(fake)
        assert len(fake.said("urn:xmpp:bidi")) == 1


@pytest.mark.scenario(9, 20)
async def test_20_its_own_request_is_understood(stage: Stage) -> None:
    async with stage.fake("ejabberd-24.10") as fake:
        await stage.hears(fake)
        await stage.says(fake)
        assert len(fake.connections) == 1


@pytest.mark.scenario(21)
async def test_21_one_that_never_asks_gets_a_stream_for_each_way(stage: Stage) -> None:
    async with stage.fake("ejabberd-25.03") as fake:
        await stage.hears(fake)
        await stage.says(fake)
        assert [stream.is_bidi for stream in fake.connections] == [False, True]
        assert not [entry for entry in fake.said("<message") if entry.initiated]


@pytest.mark.scenario(22)
async def test_22_another_hosted_domain_never_speaks_on_its_bidi_stream(stage: Stage) -> None:
    async with stage.fake(EJABBERD) as fake:
        await stage.hears(fake)
        await stage.says(fake)
        await stage.says(fake, BENVOLIO)
        await stage.echoed(fake)
        assert [len(stream.receives) for stream in fake.connections] == [1, 1]
        assert not [stream.error for stream in fake.connections if stream.error]
        assert not [e for e in fake.said("benvolio@") if e.initiated]


@pytest.mark.scenario(23)
async def test_23_a_stanza_before_the_new_header_costs_one_connection_and_no_stanza(
    stage: Stage,
) -> None:
    eager = replace(EJABBERD, sends_before_the_header=True)
    async with stage.fake(eager) as fake:
        fake.may_dial.clear()
        fake.send_stanza(message(f"juliet@{fake.domain}", ROMEO, "early"))
        await stage.says(fake)
        assert len(fake.connections) == 2
        await stage.hears(fake)


@pytest.mark.scenario(24)
async def test_24_senders_spread_over_two_streams_keep_their_order(stage: Stage) -> None:
    async with stage.fake(EJABBERD, **BY_DIALBACK) as fake:
        fake.may_dial.clear()
        own = next(stage.numbers)
        fake.send_stanza(message(f"juliet@{fake.domain}", ROMEO, f"n{own}"))
        stage.tell(ROMEO, f"juliet@{fake.domain}", own)
        await fake.heard("<db:result")
        fake.may_dial.set()
        back = Pair(fake.domain, MONTAGUE)
        await fake.until(lambda: [back in each.sends for each in fake.streams].count(True) == 2)
        numbers = [next(stage.numbers) for _ in range(200)]
        for number in numbers:
            fake.send_stanza(message(f"user{number % 10}@{fake.domain}", ROMEO, f"n{number}"))
        for number in numbers[-10:]:
            await stage.has_heard(number)
        came = [each for each in stage.components[MONTAGUE].numbers if each in numbers]
        assert sorted(came) == numbers
        for user in range(10):
            of_user = [number for number in came if number % 10 == user]
            assert of_user == sorted(of_user)
        used = {entry.stream for entry in fake.said("<message", "out")}
        assert len(used) == 2, fake.connections


@pytest.mark.scenario(25)
async def test_25_a_stream_that_is_closed_as_idle_is_replaced_without_loss(stage: Stage) -> None:
    """It counts only what it sends as life on its own stream, however much comes there."""
    async with stage.fake(EJABBERD, idle_timeout_s=IDLE_S) as fake:
        await stage.hears(fake)
        before = len(stage.components[MONTAGUE].others)
        stream = fake.connections[0]
        while not stream.is_over:
            await stage.says(fake)
            await asyncio.sleep(IDLE_S / 50)
        assert stream.error == "connection-timeout"
        await stage.says(fake)
        await stage.hears(fake)
        assert len(fake.connections) == 2
        assert len(stage.components[MONTAGUE].others) == before


@pytest.mark.scenario(26)
async def test_26_two_pairs_on_a_stream_that_breaks_are_both_answered_afterwards(
    stage: Stage,
) -> None:
    """It may keep a stale row of the second pair; whatever way its answer takes, it is taken."""
    both = replace(EJABBERD, bidi_is_the_header_pairs=False)
    async with stage.fake(both, **BY_DIALBACK) as fake:
        for sender in (ROMEO, BENVOLIO):
            await stage.echoed(fake, sender)
        for stream in fake.streams:
            stream.link.abort()
        await fake.until(lambda: not fake.streams)
        await stage.has_streams(fake)
        for sender in (BENVOLIO, ROMEO):
            await stage.echoed(fake, sender)


@pytest.mark.scenario(27)
@pytest.mark.parametrize("proof", ["certificate", "dialback"])
async def test_27_a_key_for_a_domain_it_lacks_costs_that_pair_alone(
    stage: Stage, proof: str
) -> None:
    settings = BY_DIALBACK if proof == "dialback" else {}
    async with stage.fake(EJABBERD, also=(), **settings) as fake:
        await stage.says(fake)
        number = next(stage.numbers)
        stage.tell(ROMEO, f"juliet@also.{fake.domain}", number)
        await stage.refused(number)
        await stage.says(fake)
        assert not fake.connections[0].is_closing
        assert len({entry.stream for entry in fake.said("<message")}) == 1


@pytest.mark.scenario(28)
async def test_28_a_certificate_for_servers_alone_is_followed_by_dialback(stage: Stage) -> None:
    older = replace(EJABBERD, wants_client_purpose=True)
    async with stage.fake(older) as fake:
        await stage.says(fake)
        assert fake.said("<failure", "out")
        assert fake.said("<db:result")
        assert ("out", "dialback", True) in await stage.streams(fake)
