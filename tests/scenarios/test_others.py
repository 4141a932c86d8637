"""What Openfire, MongooseIM and jabberd2 do, replayed by fakes: peers without bidi."""

from dataclasses import replace

import pytest
from OpenSSL import SSL

from bench.peers.fakes import words
from bench.peers.fakes.profiles import PROFILES
from tests.scenarios.stage import BENVOLIO, BY_DIALBACK, ROMEO, Stage
from tests.support.nodes import MONTAGUE, VERONA
from tests.support.scripted_peer import HOST, message

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.thorough]

WITHOUT_BIDI = ("openfire", "mongooseim", "jabberd2")
UNKNOWN = "unknown.montague.example"


@pytest.mark.scenario(36)
@pytest.mark.parametrize("name", WITHOUT_BIDI)
async def test_36_without_bidi_each_way_has_its_stream(stage: Stage, name: str) -> None:
    async with stage.fake(name) as fake:
        await stage.echoed(fake)
        await stage.echoed(fake)
        assert not fake.said("urn:xmpp:bidi")
        await stage.has_streams(fake, ("in", "external", False), ("out", "external", False))
        ours = next(stream for stream in fake.streams if not stream.initiated)
        arrived = stage.components[MONTAGUE].arrived
        ours.write(message(f"juliet@{fake.domain}", ROMEO, f"n{next(stage.numbers)}"))
        error = await fake.heard("<stream:error")
        assert "<not-authorized " in error.text and error.stream == ours.number
        await stage.echoed(fake)
        assert stage.components[MONTAGUE].arrived == arrived + 1


@pytest.mark.scenario(37)
@pytest.mark.parametrize("name", ["openfire", "mongooseim"])
async def test_37_prefixes_are_the_customary_ones_on_every_header(stage: Stage, name: str) -> None:
    async with stage.fake(name, **BY_DIALBACK) as fake:
        await stage.echoed(fake)
        headers = fake.said("<stream:stream ")
        assert len(headers) >= 4
        for entry in headers:
            assert f"xmlns:db='{words.DIALBACK}'" in entry.text.replace('"', "'")
            assert f"xmlns:stream='{words.STREAMS}'" in entry.text.replace('"', "'")
        assert not [stream.error for stream in fake.connections if stream.error]


@pytest.mark.scenario(38)
@pytest.mark.parametrize("name", ["openfire", "plain"])
async def test_38_a_peer_may_name_itself_or_be_taken_by_its_header(stage: Stage, name: str) -> None:
    async with stage.fake(name) as fake:
        await stage.hears(fake)
        (auth,) = fake.said("<auth ", "out")
        assert (">=<" in auth.text) == (name == "openfire")
        assert ("in", "external", name == "plain") in await stage.streams(fake)


@pytest.mark.scenario(38)
@pytest.mark.parametrize("name", ["prosody-0.12", "mongooseim"])
async def test_38_we_always_name_ourselves(stage: Stage, name: str) -> None:
    async with stage.fake(name) as fake:
        await stage.says(fake)
        (auth,) = fake.said("<auth ")
        assert f">{words.encoded(MONTAGUE)}<" in auth.text
        assert not fake.said("<failure", "out")


@pytest.mark.scenario(39)
async def test_39_its_further_domains_come_on_the_same_stream(stage: Stage) -> None:
    async with stage.fake("openfire", **BY_DIALBACK) as fake:
        for domain in sorted(fake.domains):
            for target in (ROMEO, BENVOLIO):
                await stage.hears(fake, target, domain)
        own = [stream for stream in fake.connections if stream.initiated and not stream.for_keys]
        assert len(own) == 1
        assert len(own[0].sends) == 4


@pytest.mark.scenario(39)
async def test_39_a_domain_we_lack_is_answered_with_an_error(stage: Stage) -> None:
    async with stage.fake("openfire", **BY_DIALBACK) as fake:
        fake.peers[UNKNOWN] = (HOST, stage.node.s2s_port)
        await stage.hears(fake)
        text = message(f"juliet@{fake.domain}", f"a@{UNKNOWN}", "unknown")
        fake.send_stanza(text)
        answer = await fake.heard("<item-not-found ")
        assert f'from="{UNKNOWN}"' in answer.text and 'type="error"' in answer.text
        await fake.until(lambda: text in fake.bounces)
        await stage.hears(fake)
        own = [stream for stream in fake.connections if stream.initiated and not stream.for_keys]
        assert len(own) == 1


@pytest.mark.scenario(40)
async def test_40_verification_in_plaintext_is_refused_and_nothing_else_happens(
    stage: Stage,
) -> None:
    async with stage.fake("openfire", **BY_DIALBACK) as fake:
        fake.client_context.set_max_proto_version(SSL.TLS1_2_VERSION)
        fake.client_context.set_cipher_list(b"NULL-SHA256")
        stage.tell(ROMEO, f"juliet@{fake.domain}", next(stage.numbers))
        answer = await fake.heard("<db:verify")
        assert "<policy-violation " in answer.text and 'type="error"' in answer.text
        assert not [e for e in fake.said("<proceed") if e.stream == answer.stream]
    async with stage.fake("openfire", **BY_DIALBACK) as fake:
        await stage.echoed(fake)


@pytest.mark.scenario(41)
async def test_41_external_refused_with_an_end_is_followed_by_dialback(stage: Stage) -> None:
    async with stage.fake("mongooseim", **BY_DIALBACK) as fake:
        await stage.says(fake)
        assert fake.said("<failure", "out")
        await stage.has_streams(fake, ("out", "dialback", False))


@pytest.mark.scenario(42)
async def test_42_each_new_sender_comes_on_the_same_stream_unasked(stage: Stage) -> None:
    async with stage.fake("jabberd2", **BY_DIALBACK) as fake:
        for domain in sorted(fake.domains):
            await stage.hears(fake, domain=domain)
        await stage.hears(fake, BENVOLIO)
        own = [stream for stream in fake.connections if stream.initiated and not stream.for_keys]
        assert len(own) == 1
        keys = [entry for entry in fake.said("<db:result", "out") if entry.stream == own[0].number]
        assert len(keys) == 3
        assert any(f'to="{VERONA}"' in entry.text for entry in keys)


@pytest.mark.scenario(36, 42)
async def test_a_peer_without_dialback_errors_keeps_its_pairs_apart(stage: Stage) -> None:
    """What the router may not do to such a peer: several pairs on one stream."""
    without = replace(PROFILES["jabberd2"], piggybacks=False)
    async with stage.fake(without, **BY_DIALBACK) as fake:
        for sender in (ROMEO, BENVOLIO):
            await stage.echoed(fake, sender)
        theirs = [stream for stream in fake.connections if not stream.initiated]
        assert [len(stream.receives) for stream in theirs if stream.receives] == [1, 1]
