"""A fake against a fake: they federate by certificate and by dialback, whoever they play."""

from itertools import product

import pytest

from bench.authority import Authority
from bench.peers.fakes import words
from bench.peers.fakes.fake import Entry, Fake, element_of
from bench.peers.fakes.profiles import PROFILES
from tests.bench.peers.fakes.conftest import CAPULET, MONTAGUE, TYBALT, Pair, certificate

BY_DIALBACK = {"presents_certificate": False}


def message(sender: str, target: str, number: int = 1) -> str:
    return (
        f"<message from='{sender}' to='{target}' id='m{number}'><body>hear &lt; me</body></message>"
    )


def ids(fake: Fake) -> list[str]:
    return [stanza.get("id") for stanza in fake.stanzas]


async def exchanged(one: Fake, other: Fake) -> None:
    """A message to the other's echo, and what comes back."""
    one.send_stanza(message(f"romeo@{one.domain}", f"echo@{other.domain}"))
    await one.until(lambda: ids(one) == ["m1"], 5)
    assert ids(other) == ["m1"]
    assert one.stanzas[0].children[0].text == "hear < me"


def agree(first: str, second: str) -> bool:
    """Whether the one's request for bidi is in the namespace that the other takes."""
    one, other = PROFILES[first], PROFILES[second]
    asks = one.asks_for_bidi and other.offers_bidi and not one.asks_where_drafted
    return not asks or one.bidi_request == other.bidi_accepted


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in product(PROFILES, repeat=2) if agree(*pair) and agree(*pair[::-1])],
)
async def test_any_two_federate_by_dialback(two: Pair, first: str, second: str) -> None:
    one, other = await two(first, second, mine=BY_DIALBACK, theirs=BY_DIALBACK)
    await exchanged(one, other)
    assert {stream.mechanism for stream in one.streams if stream.receives or stream.sends} == {
        "dialback"
    }


@pytest.mark.parametrize("second", [name for name in PROFILES if agree("plain", name)])
async def test_a_certificate_proves_without_any_dialback(two: Pair, second: str) -> None:
    one, other = await two("plain", second)
    await exchanged(one, other)
    assert not one.said("<db:") and not other.said("<db:")
    assert all(stream.mechanism == "external" for stream in one.streams)


async def test_with_bidi_one_connection_is_enough_and_without_it_takes_two(two: Pair) -> None:
    one, other = await two("plain", "plain")
    await exchanged(one, other)
    assert len(one.connections) == len(other.connections) == 1


async def test_without_bidi_each_way_has_its_stream(two: Pair) -> None:
    one, other = await two("plain", "openfire")
    await exchanged(one, other)
    assert len(one.connections) == 2
    assert not one.said("urn:xmpp:bidi", "out")


async def test_a_key_is_really_verified(two: Pair, authority: Authority) -> None:
    """An impostor has no secret that the authoritative server would know the key of."""
    one, other = await two("plain", "plain", mine=BY_DIALBACK, theirs=BY_DIALBACK)
    impostor = Fake(
        "plain",
        MONTAGUE,
        certificate=certificate(authority, MONTAGUE),
        peers=dict(other.peers) | {CAPULET: ("127.0.0.1", other.port)},
        presents_certificate=False,
    )
    async with impostor:
        impostor.send_stanza(message(f"romeo@{MONTAGUE}", f"a@{CAPULET}"))
        await impostor.until(lambda: bool(impostor.bounces))
    assert one.said("<db:verify") and one.said('type="invalid"', "out")
    assert not other.stanzas


async def test_what_cannot_be_sent_is_given_up(two: Pair) -> None:
    one, _ = await two("plain", "plain")
    text = message(f"romeo@{MONTAGUE}", "a@nowhere.example")
    one.send_stanza(text)
    await one.until(lambda: bool(one.bounces))
    assert list(one.bounces) == [text]


async def test_pings_are_answered_and_other_queries_refused(two: Pair) -> None:
    one, _ = await two("plain", "plain")
    for number, query in enumerate((f"<ping xmlns='{words.PING}'/>", "<q xmlns='urn:q'/>")):
        addresses = f"from='romeo@{MONTAGUE}' to='{TYBALT}' id='{number}'"
        one.send_stanza(f"<iq type='get' {addresses}>{query}</iq>")
    await one.until(lambda: len(one.stanzas) == 2)
    assert {stanza.get("id"): stanza.get("type") for stanza in one.stanzas} == {
        "0": "result",
        "1": "error",
    }


async def test_both_end_in_order(two: Pair) -> None:
    one, other = await two("plain", "plain")
    await exchanged(one, other)
    other.connections[0].close()
    for fake in (one, other):
        await fake.heard(words.END)


def test_a_line_of_the_transcript_is_one_line() -> None:
    assert str(Entry(3, False, "in", "<a>\n\x1b[2J</a>")) == "#3 theirs << <a>\\x0a\\x1b[2J</a>"


@pytest.mark.parametrize("text", ["", "<a/>", "<message/><message/>", "<message>"])
def test_only_a_stanza_can_be_sent(text: str) -> None:
    with pytest.raises(ValueError, match="not a stanza"):
        element_of(text)
