"""Each quirk does what it says, seen by a fake without quirks on the other side."""

from dataclasses import fields, replace

import pytest

from bench.peers.fakes import words
from bench.peers.fakes.fake import Fake
from bench.peers.fakes.profiles import PROFILES, Profile
from tests.bench.peers.fakes.conftest import CAPULET, MONTAGUE, TYBALT, VERONA, Pair

PLAIN = PROFILES["plain"]
BY_DIALBACK = {"presents_certificate": False}
BIDI = f"<bidi xmlns='{words.BIDI}'/>"


def message(sender: str, target: str, name: str = "m") -> str:
    return f"<message from='a@{sender}' to='b@{target}' id='{name}'/>"


async def greeted(one: Fake, other: Fake, sender: str = MONTAGUE, target: str = CAPULET) -> None:
    """A message of `one`, on a stream that it opens."""
    before = len(other.stanzas)
    one.send_stanza(message(sender, target))
    await other.until(lambda: len(other.stanzas) > before)


def plain_but(**quirks: object) -> Profile:
    return replace(PLAIN, **quirks)  # type: ignore[arg-type]


def test_the_servers_of_the_notes_are_all_there() -> None:
    assert set(PROFILES) >= {
        "plain",
        "prosody-0.12",
        "ejabberd-24.10",
        "ejabberd-25.03",
        "ejabberd-26.07",
        "metre",
        "openfire",
        "mongooseim",
        "jabberd2",
    }
    assert all(profile.name == name and profile.about for name, profile in PROFILES.items())


def test_every_quirk_is_somebodys() -> None:
    """One that no server has would be a test's alone."""
    quirks = [field.name for field in fields(Profile) if field.name not in ("name", "about")]
    differing = {
        name
        for name in quirks
        if any(getattr(each, name) != getattr(PLAIN, name) for each in PROFILES.values())
    }
    for_tests_alone = {"sends_before_the_header", "asks_inside_tls", "offers_dialback"}
    assert set(quirks) - differing == for_tests_alone


@pytest.mark.parametrize(
    ("quirks", "expected"),
    [
        ({}, [BIDI]),
        ({"asks_for_bidi": False}, []),
        ({"asks_where_drafted": True}, []),
        ({"bidi_request": words.BIDI_FEATURE}, [f"<bidi xmlns='{words.BIDI_FEATURE}'/>"]),
    ],
)
async def test_how_it_asks_for_bidi(two: Pair, quirks: dict[str, object], expected: str) -> None:
    one, other = await two(plain_but(**quirks), plain_but(bidi_accepted=words.BIDI_FEATURE))
    one.send_stanza(message(MONTAGUE, CAPULET))
    await other.until(lambda: bool(other.stanzas) or any(s.error for s in other.connections))
    assert [entry.text for entry in one.said("<bidi ", "out")] == expected


async def test_it_may_ask_before_tls_and_after_it(two: Pair) -> None:
    lenient = plain_but(requires_tls=False, offers_bidi_in_plaintext=True)
    one, other = await two(plain_but(asks_in_plaintext=True), lenient)
    await greeted(one, other)
    said = [entry.text for entry in other.said("<")]
    assert said.index(BIDI) < said.index(words.STARTTLS)
    assert said.count(BIDI) == 2


async def test_its_request_may_carry_a_limit(two: Pair) -> None:
    one, other = await two("prosody-13", "plain")
    await greeted(one, other)
    (request,) = other.said("<bidi ")
    assert f"<limits xmlns='{words.LIMITS}'><max-bytes>524288</max-bytes>" in request.text


@pytest.mark.parametrize("name", ["plain", "ejabberd-26.07"])
async def test_bidi_asked_for_too_late(two: Pair, name: str) -> None:
    one, other = await two(plain_but(asks_for_bidi=False), name)
    await greeted(one, other)
    one.connections[0].write(BIDI)
    if name == "plain":
        await one.heard("<unsupported-stanza-type ")
    else:
        await greeted(one, other)
        assert other.connections[0].is_bidi


@pytest.mark.parametrize("name", ["ejabberd-26.07", "plain"])
async def test_it_may_offer_bidi_again_after_the_proof(two: Pair, name: str) -> None:
    one, other = await two("plain", name)
    await greeted(one, other)
    offers = one.said(f"<bidi xmlns='{words.BIDI_FEATURE}'/>")
    assert len(offers) == 1 + (name == "ejabberd-26.07")


@pytest.mark.parametrize("name", PROFILES)
async def test_a_key_for_a_domain_it_lacks(two: Pair, name: str) -> None:
    profile = replace(PROFILES[name], bidi_accepted=words.BIDI)
    one, other = await two(plain_but(asks_for_bidi=False, piggybacks=True), profile)
    await greeted(one, other)
    one.connections[0].write(words.dialback("result", MONTAGUE, "lacking.example", content="k"))
    if name == "jabberd2":  # it has no dialback errors to say it with
        await one.heard('type="invalid"')
        return
    answer = await one.heard(f"<{profile.unknown_target} ")
    ends = profile.unknown_target in ("unsupported-stanza-type", "host-unknown")
    assert ("<stream:error>" in answer.text) == ends


@pytest.mark.parametrize("name", ["prosody-0.12", "ejabberd-26.07", "metre"])
async def test_a_key_against_its_bidi_stream(two: Pair, name: str) -> None:
    one, other = await two("plain", name)
    await greeted(other, one, CAPULET, MONTAGUE)
    theirs = one.connections[0]
    theirs.write(theirs.send_key(type(theirs.header_pair)(VERONA, CAPULET)))
    if name == "prosody-0.12":
        await one.heard("<invalid-id ")
    elif name == "metre":
        answer = await one.heard('type="valid"')
        assert answer.stream == theirs.number
    else:
        await greeted(other, one, CAPULET, MONTAGUE)
        assert not one.said("<db:")


async def test_it_may_use_one_stream_for_all_the_domains_of_a_server(two: Pair) -> None:
    one, other = await two("jabberd2", plain_but(offers_bidi=False), mine=BY_DIALBACK)
    for target in (CAPULET, TYBALT):
        for sender in (MONTAGUE, VERONA):
            await greeted(one, other, sender, target)
    (own,) = (stream for stream in one.connections if stream.initiated and not stream.for_keys)
    assert len(own.sends) == 4


@pytest.mark.parametrize(("name", "connections"), [("prosody-0.12", 2), ("plain", 2)])
async def test_where_it_verifies(two: Pair, name: str, connections: int) -> None:
    """Prosody on a stream that it keeps, others on one that they close."""
    one, other = await two("plain", name, mine=BY_DIALBACK, theirs=BY_DIALBACK)
    await greeted(one, other)
    back = next(stream for stream in other.connections if stream.initiated)
    assert back.for_keys == (name == "plain")
    if name == "plain":
        await other.until(lambda: back.is_over)
    else:
        await greeted(other, one, CAPULET, MONTAGUE)
        assert not back.is_over
    assert len([stream for stream in other.connections if stream.initiated]) == 1


@pytest.mark.parametrize("name", ["openfire", "plain"])
async def test_what_it_sends_as_identity(two: Pair, name: str) -> None:
    one, other = await two(name, "plain")
    await greeted(one, other)
    (auth,) = other.said("<auth ")
    assert f">{'=' if name == 'openfire' else words.encoded(MONTAGUE)}</auth>" in auth.text


@pytest.mark.parametrize("name", ["prosody-0.12", "mongooseim", "metre", "jabberd2"])
async def test_what_it_makes_of_no_identity(two: Pair, name: str) -> None:
    one, other = await two("openfire", name)
    one.send_stanza(message(MONTAGUE, CAPULET))
    if name == "metre":
        await other.heard("<response ")
    elif name != "jabberd2":
        await one.heard("<malformed-request/>")
    if name == "mongooseim":
        await one.heard(words.END)
    else:
        await other.until(lambda: bool(other.stanzas))


async def test_a_certificate_for_servers_alone(two: Pair) -> None:
    one, other = await two("plain", plain_but(wants_client_purpose=True))
    await greeted(one, other)
    assert not one.said("EXTERNAL")
    assert other.said("<db:result")


async def test_too_much_before_the_proof(two: Pair) -> None:
    strict = plain_but(max_bytes_before_proof=1000)
    one, other = await two("plain", strict, mine=BY_DIALBACK)
    other.may_dial.clear()  # so that the proof is never complete
    one.send_stanza(message(MONTAGUE, CAPULET))
    await other.heard("<db:result ")
    one.connections[0].write(f"<x>{'y' * 1000}</x>")
    await one.heard("<policy-violation ")
    assert other.connections[0].error == "policy-violation"


@pytest.mark.parametrize("name", ["prosody-0.12", "ejabberd-26.07", "metre"])
async def test_a_stanza_of_a_domain_not_proved(two: Pair, name: str) -> None:
    one, other = await two("plain", name)
    await greeted(one, other)
    one.connections[0].write(message(VERONA, CAPULET))
    await one.heard(f"<{PROFILES[name].unproved_sender} ")
    assert len(other.stanzas) == 1
    assert bool(other.said("</stream:close>", "out")) == (name == "metre")


async def test_a_stanza_before_any_proof(two: Pair) -> None:
    one, other = await two("plain", plain_but(requires_tls=False))
    one.send_stanza(message(MONTAGUE, CAPULET))
    await one.heard("<stream:features>")
    one.connections[0].write(message(MONTAGUE, CAPULET))
    await one.until(lambda: one.connections[0].is_over)
    assert not other.stanzas


@pytest.mark.parametrize("prefix", ["db", "dialback"])
@pytest.mark.parametrize("name", ["openfire", "plain"])
async def test_a_prefix_of_ones_own(two: Pair, name: str, prefix: str) -> None:
    one, other = await two(plain_but(asks_for_bidi=False), name)
    await greeted(one, other)
    question = words.dialback("verify", MONTAGUE, CAPULET, content="k", id="i")
    declared = question.replace("db:verify", f"{prefix}:verify").replace(
        " from", f" xmlns:{prefix}='{words.DIALBACK}' from", 1
    )
    one.connections[0].write(declared)
    known = prefix == "db" or name == "plain"
    await one.heard("<db:verify " if known else "<unsupported-stanza-type ")


async def test_life_that_does_not_count(two: Pair) -> None:
    """What comes on its own stream does not keep that open; what goes there would."""
    one, other = await two("plain", "ejabberd-26.07", theirs={"idle_timeout_s": 0.2})
    await greeted(other, one, CAPULET, MONTAGUE)
    while not one.connections[0].is_over:
        one.send_stanza(message(MONTAGUE, CAPULET))
        await one.until(lambda: bool(one.said("<connection-timeout ")) or fresh(one, other))
    assert one.said("<connection-timeout ")


def fresh(one: Fake, other: Fake) -> bool:
    return len(other.stanzas) >= len(one.said("<message", "out")) or one.connections[0].is_over
