"""Properties of the stream cores: whatever comes, in whatever pieces, and what it never earns."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from router.xmpp.events import Event, StartTls, StreamClosed
from router.xmpp.initiating import InitiatingStream
from router.xmpp.states import Phase
from tests.support.transcript import Conversation, Transcript, load, play

FILES = Path(__file__).resolve().parent.parent / "transcripts"
TRANSCRIPTS = [load(path) for path in sorted(FILES.glob("*.txt"))]
FRAGMENTS = [
    b"<", b">", b"/>", b"'", b'"', b"&", b"]]>", b"<!--", b"<![CDATA[", b"<?x?>", b"\0", b"\xff",
    b" ", b"\n", b"</stream:stream>", b"<stream:error/>", b"<stream:features/>",
    b"<message from='a@capulet.example' to='montague.example'/>",
    b"<db:result from='capulet.example' to='montague.example' type='valid'/>",
    b"<db:verify from='capulet.example' to='montague.example' id='x'>k</db:verify>",
    b"<bidi xmlns='urn:xmpp:bidi'/>", b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:server'"
    b" xmlns:stream='http://etherx.jabber.org/streams' from='capulet.example'"
    b" to='montague.example' version='1.0'>",
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    b" version='1.0'>", b"<message/>", b"<iq type='set' id='1'><a xmlns='u'/></iq>",
]  # fmt: skip


def pieces(octets: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The octets cut into pieces of these sizes, over and over."""
    at, turn = 0, 0
    while at < len(octets):
        size = sizes[turn % len(sizes)]
        yield octets[at : at + size]
        at, turn = at + size, turn + 1


@pytest.mark.clause("XML-07")
@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([one for one in TRANSCRIPTS if not one.segments_matter]),
    st.lists(st.integers(1, 90), min_size=1, max_size=6),
)
def test_how_a_conversation_is_cut_makes_no_difference(
    transcript: Transcript, sizes: list[int]
) -> None:
    play(transcript, lambda octets: pieces(octets, sizes))


@st.composite
def spoilt(draw: st.DrawFn, octets: bytes) -> bytes:
    """The octets after a few accidents."""
    for _ in range(draw(st.integers(0, 3))):
        begin = draw(st.integers(0, len(octets)))
        end = min(len(octets), begin + draw(st.sampled_from([0, 0, 0, 1, 5, 40])))
        put = draw(
            st.one_of(
                st.sampled_from(FRAGMENTS),
                st.binary(max_size=4),
                st.just(b""),
                st.just(octets[begin:end] * 2),
            )
        )
        octets = octets[:begin] + put + octets[end:]
    return octets


class Watch:
    """What must hold of any core whatever it is fed: see `took`."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.document = etree.XMLPullParser()
        self.in_handshake = False

    def took(self, talk: Conversation, events: list[Event], *, tls: bool = False) -> None:
        """One end at most, nothing after it, and what we write is XML outside of TLS handshakes.

        `tls`: the handshake has just been completed.
        """
        core, sent = talk.core, talk.core.bytes_to_send()
        assert not (sent and self.in_handshake and not tls)
        self.in_handshake = core.phase in (Phase.TLS, Phase.DIRECT_TLS)
        over = any(isinstance(event, StreamClosed) for event in self.events)
        assert not (over and (events or sent))
        self.events += events
        ends = [event for event in self.events if isinstance(event, StreamClosed)]
        assert len(ends) == (core.phase is Phase.CLOSED)
        assert not ends or self.events[-1] is ends[0]
        assert (core.deadline() is None) or core.phase is not Phase.CLOSED
        for number, part in enumerate(sent.split(b"<?xml version='1.0'?>")):
            if number:
                self.document = etree.XMLPullParser()
            if part:
                self.document.feed(part)  # raises for what is not well-formed


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(TRANSCRIPTS))
def test_no_accident_raises_and_each_ends_once(data: st.DataObject, transcript: Transcript) -> None:
    talk, watch = Conversation(transcript), Watch()
    spoil_from = data.draw(st.integers(0, len(transcript.steps) - 1))
    close_at = data.draw(st.integers(-2 * len(transcript.steps), len(transcript.steps) - 1))
    for number, step in enumerate(transcript.steps):
        if number == close_at:
            watch.took(talk, talk.core.close(talk.now))
        if step.kind == "C":
            octets = talk.filled(step.text).encode() if _is_bound(talk, step.text) else b""
            if number >= spoil_from:
                octets = data.draw(spoilt(octets))
            sizes = data.draw(st.lists(st.integers(1, 200), min_size=1, max_size=3))
            for piece in pieces(octets, sizes):
                watch.took(talk, talk.core.receive_bytes(piece, talk.now))
        elif _may_happen(talk, step.text, watch.events):
            watch.took(talk, talk.act(step), tls=step.text.startswith("tls"))
        for name in _names(step.sent):
            talk.bound.setdefault(name, "id1")
    watch.took(talk, talk.core.deadline_passed(talk.now + 100))
    watch.took(talk, talk.core.receive_eof(talk.now))
    assert talk.core.phase is Phase.CLOSED


def _names(text: str) -> set[str]:
    return {"id", "first", "second", "third", "next", "key"} if "{" in text else set()


def _is_bound(talk: Conversation, text: str) -> bool:
    try:
        talk.filled(text)
    except KeyError:
        return False
    return True


def _may_happen(talk: Conversation, fact: str, seen: list[Event]) -> bool:
    """Whether our own side could do this now: TLS comes when it was asked for, and so on."""
    verb = fact.partition(" ")[0]
    if verb == "tls":
        asked = any(isinstance(event, StartTls) for event in seen)
        return talk.core.phase is Phase.DIRECT_TLS or (asked and talk.core.phase is Phase.TLS)
    if verb == "open":
        return not seen
    return verb not in ("send", "may-send") and _is_bound(talk, fact)


@pytest.mark.clause("XML-01", "XML-02", "XML-03", "ERR-07")
@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["receiving", "initiating", "component", "recipient"]),
    st.booleans(),
    st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(FRAGMENTS)), max_size=12),
)
def test_no_octets_raise(role: str, inside_tls: bool, octets: list[bytes]) -> None:
    policy = "direct" if inside_tls and role != "component" else "tls=optional"
    talk = Conversation(Transcript("", {"role": role, "policy": policy}, ()))
    watch = Watch()
    if talk.core.phase is Phase.DIRECT_TLS:
        watch.took(talk, talk.core.tls_established(talk.evidence, talk.now), tls=True)
    elif isinstance(talk.core, InitiatingStream):
        watch.took(talk, talk.core.open())
    for one in octets:
        watch.took(talk, talk.core.receive_bytes(one, talk.now))
