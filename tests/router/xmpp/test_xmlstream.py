"""What every stream does alike: closing, errors, deadlines, the end of a connection, bounds."""

import pytest

from router.xmpp import names
from router.xmpp.errors import STREAM_CONDITIONS, MisuseError
from router.xmpp.events import Event, PairRefused, RunReceived, StartTls, StreamClosed
from router.xmpp.initiating import InitiatingStream
from router.xmpp.receiving import ReceivingStream
from router.xmpp.states import Phase
from router.xmpp.xmlstream import XmlStream
from tests.support.pump import (
    AUTH,
    CAPULET,
    MONTAGUE,
    NOW,
    PAIR,
    STARTTLS,
    Proves,
    authenticated,
    features,
    header,
    ids,
    inbound,
    outbound,
    policy,
    say,
)

END = "</stream:stream>"
STANZA = f"<message from='a@{CAPULET}' to='{MONTAGUE}'/>"


def closed(events: list[Event]) -> StreamClosed:
    """The end, which is the last event and the only one of its kind."""
    ends = [event for event in events if isinstance(event, StreamClosed)]
    assert len(ends) == 1
    assert events[-1] is ends[0]
    return ends[0]


def starting(*, direct_tls: bool = False) -> ReceivingStream:
    return ReceivingStream(policy(MONTAGUE), ids(), NOW, direct_tls=direct_tls)


def in_handshake() -> ReceivingStream:
    core = starting()
    say(core, header() + STARTTLS)
    assert core.phase is Phase.TLS
    return core


# --- closing ---


@pytest.mark.clause("STR-15")
def test_after_our_closing_tag_nothing_is_sent_and_everything_is_heard() -> None:
    core = authenticated(bidi=True)
    assert core.close(NOW) == []
    assert core.bytes_to_send().decode() == END
    assert not core.may_send(PAIR)
    with pytest.raises(MisuseError):
        core.send_run(PAIR, b"<message/>", 1)
    events, answer = say(core, STANZA + AUTH)
    assert isinstance(events[0], RunReceived)
    assert answer == ""
    events, answer = say(core, END)
    assert closed(events) == StreamClosed(None, False)
    assert answer == ""


@pytest.mark.clause("STR-15")
def test_a_peer_without_a_closing_tag_has_five_seconds() -> None:
    core = authenticated()
    core.close(NOW)
    assert core.deadline() == NOW + 5
    assert core.deadline_passed(NOW + 4.9) == []
    end = closed(core.deadline_passed(NOW + 5))
    assert (end.condition, end.by_peer, end.abrupt) == (None, False, False)


def test_closing_twice_is_closing_once() -> None:
    core = authenticated()
    core.close(NOW)
    core.bytes_to_send()
    assert core.close(NOW) == []
    assert core.bytes_to_send() == b""


@pytest.mark.clause("STR-16")
def test_the_peers_closing_tag_comes_after_what_was_queued() -> None:
    core = authenticated(bidi=True)
    core.send_run(PAIR, b"<presence/>", 1)
    events, answer = say(core, END)
    assert closed(events) == StreamClosed(None, True)
    assert answer == "<presence/>" + END


def test_closing_before_the_stream_began_says_nothing() -> None:
    core = starting()
    assert closed(core.close(NOW)).abrupt
    assert core.bytes_to_send() == b""


@pytest.mark.clause("TLS-05", "ERR-07")
@pytest.mark.parametrize("direct_tls", [False, True])
@pytest.mark.parametrize("how", ["close", "fail", "deadline"])
def test_no_xml_is_said_into_a_tls_handshake(direct_tls: bool, how: str) -> None:
    core = starting(direct_tls=True) if direct_tls else in_handshake()
    core.bytes_to_send()
    if how == "close":
        events = core.close(NOW)
    elif how == "fail":
        events = core.fail("system-shutdown", "going")
    else:
        events = core.deadline_passed(NOW + 60)
    assert closed(events).abrupt
    assert core.bytes_to_send() == b""


@pytest.mark.clause("TLS-02")
def test_octets_during_the_handshake_are_not_the_streams() -> None:
    core = in_handshake()
    assert say(core, header() + STANZA)[0] == []
    assert core.phase is Phase.TLS


@pytest.mark.clause("BIDI-23")
def test_an_end_without_a_closing_tag_is_abrupt() -> None:
    core = authenticated(bidi=True)
    end = closed(core.receive_eof(NOW))
    assert (end.condition, end.by_peer, end.abrupt) == (None, True, True)
    assert not core.may_send(PAIR)
    assert core.receive_eof(NOW) == []


def test_nothing_happens_after_the_end() -> None:
    core = outbound(None, Proves(), has_certificate=False)  # no way to prove ourselves
    core.verify(PAIR.inverse(), "ours", "k", NOW)
    core.receive_eof(NOW)
    core.bytes_to_send()
    assert core.deadline() is None
    assert core.deadline_passed(NOW + 1000) == []
    assert say(core, STANZA) == ([], "")
    assert core.fail("reset", "") == []
    assert core.close(NOW) == []


def test_questions_end_with_the_stream() -> None:
    core = outbound(None, Proves(), f"<dialback xmlns='{names.DIALBACK_FEATURE}'/>")
    assert core.deadline() == NOW + 30
    core.receive_eof(NOW)
    assert core.deadline() is None
    assert not any(isinstance(event, PairRefused) for event in core.deadline_passed(NOW + 30))


def test_tls_where_no_handshake_is_under_way_is_our_own_fault() -> None:
    with pytest.raises(MisuseError):
        starting().tls_established(Proves(), NOW)


# --- errors ---


@pytest.mark.clause("ERR-02")
@pytest.mark.parametrize(
    ("sent", "understood"),
    [(condition, condition) for condition in sorted(STREAM_CONDITIONS)]
    + [("xml-not-well-formed", "not-well-formed"), ("invalid-id", "undefined-condition")],
)
def test_a_stream_error_ends_both_directions(sent: str, understood: str) -> None:
    core = authenticated(bidi=True)
    events, answer = say(
        core,
        f"<stream:error><{sent} xmlns='{names.STREAM_ERRORS}'/>"
        f"<text xmlns='{names.STREAM_ERRORS}'>why</text><x xmlns='urn:example'/></stream:error>"
        + STANZA,
    )
    assert closed(events) == StreamClosed(understood, True, "why")
    assert answer == END
    assert not core.may_send(PAIR)


@pytest.mark.clause("ERR-02")
def test_a_stream_error_after_our_closing_tag_needs_no_second_one() -> None:
    core = authenticated()
    core.close(NOW)
    core.bytes_to_send()
    events, answer = say(core, "<stream:error/>")
    assert closed(events).condition == "undefined-condition"
    assert answer == ""


@pytest.mark.clause("ERR-01")
def test_our_error_is_the_last_word() -> None:
    core = authenticated(bidi=True)
    assert closed(core.fail("reset", "certificate ended")).condition == "reset"
    answer = core.bytes_to_send().decode()
    assert answer.startswith("<stream:error><reset ")
    assert answer.endswith("</stream:error>" + END)
    assert say(core, STANZA) == ([], "")


@pytest.mark.clause("STR-09", "STR-10", "XML-01", "XML-02", "XML-03")
@pytest.mark.parametrize(
    ("octets", "condition"),
    [
        (header(content=names.CLIENT).encode(), "invalid-namespace"),
        (header().replace(names.STREAMS, "urn:example").encode(), "invalid-namespace"),
        (STANZA.encode(), "invalid-namespace"),
        (b"<!DOCTYPE x>", "restricted-xml"),
        (b"<stream:stream", None),
        (b"<stream:stream>", "not-well-formed"),
        (b"<?xml version='1.0' encoding='utf-16'?><a>", "unsupported-encoding"),
        (b"\xff<a>", "unsupported-encoding"),
        (header("a@b").encode(), "improper-addressing"),
        (header(version="one").encode(), "unsupported-version"),
    ],
)
def test_an_error_at_the_beginning_comes_in_a_whole_document(
    octets: bytes, condition: str | None
) -> None:
    core = starting()
    events = core.receive_bytes(octets, NOW)
    answer = core.bytes_to_send().decode()
    if condition is None:
        assert (events, answer) == ([], "")
        return
    assert closed(events).condition == condition
    assert answer.startswith("<?xml version='1.0'?><stream:stream ")
    assert answer.count("<stream:stream ") == 1
    assert f"<stream:error><{condition} " in answer
    assert answer.endswith(END)


@pytest.mark.clause("STR-17", "RTE-01", "TLS-07")
@pytest.mark.parametrize("stanza", ["<message/>", STANZA, f"<iq to='{MONTAGUE}'/>"])
def test_before_any_proof_a_stanza_is_not_authorized_whatever_it_says(stanza: str) -> None:
    core = inbound()
    events, _ = say(core, stanza)
    assert closed(events).condition == "not-authorized"


@pytest.mark.clause("RTE-01")
@pytest.mark.parametrize(
    "stanza",
    [
        "<message/>",
        f"<message from='' to='{MONTAGUE}'/>",
        f"<message from='a@{CAPULET}' to=''/>",
        f"<message from='a@{CAPULET}'/>",
        f"<message from='@{CAPULET}' to='{MONTAGUE}'/>",
    ],
)
def test_after_a_proof_a_stanza_needs_both_addresses(stanza: str) -> None:
    events, _ = say(authenticated(), stanza)
    assert closed(events).condition == "improper-addressing"


# --- bounds before the proof ---


def waiting() -> dict[str, XmlStream]:
    """Streams on which it is the peer's turn, one for each phase where that can be."""
    secure_header = starting(direct_tls=True)
    secure_header.tls_established(Proves(), NOW)
    challenged = inbound(None, Proves(CAPULET))
    say(challenged, f"<auth xmlns='{names.SASL}' mechanism='EXTERNAL'/>")
    restart = inbound(None, Proves(CAPULET))
    say(restart, AUTH)
    plain = starting()
    say(plain, header())
    opened = InitiatingStream(policy(MONTAGUE), ids(), PAIR, NOW)
    opened.open()
    answered = InitiatingStream(policy(MONTAGUE), ids(), PAIR, NOW)
    answered.open()
    say(answered, header(stream_id="x"))
    asked = InitiatingStream(policy(MONTAGUE), ids(), PAIR, NOW)
    asked.open()
    say(asked, header(stream_id="x") + features())
    proving = outbound(None, Proves(), f"<dialback xmlns='{names.DIALBACK_FEATURE}'/>")
    return {
        core.phase.name + (" out" if isinstance(core, InitiatingStream) else ""): core
        for core in (
            starting(),
            plain,
            secure_header,
            inbound(),
            challenged,
            restart,
            opened,
            answered,
            asked,
            proving,
        )
    }


@pytest.mark.clause("ERR-07", "TLS-07", "STR-09")
@pytest.mark.parametrize("name", waiting())
def test_a_silent_peer_has_sixty_seconds(name: str) -> None:
    core = waiting()[name]
    core.bytes_to_send()
    core.deadline_passed(NOW + 59.9)
    core.bytes_to_send()
    assert core.deadline() == NOW + 60
    assert closed(core.deadline_passed(NOW + 60)).condition == "policy-violation"
    answer = core.bytes_to_send().decode()
    assert "<policy-violation " in answer
    assert answer.startswith("<?xml") == (
        name in ("PLAIN_HEADER", "SECURE_HEADER", "RESTART_HEADER")
    )


@pytest.mark.clause("ERR-07")
def test_an_authenticated_peer_may_be_silent() -> None:
    assert authenticated().deadline() is None


@pytest.mark.clause("ERR-07", "XML-05")
def test_before_the_proof_an_element_is_small() -> None:
    def padded(size: int) -> str:
        return "<x xmlns='urn:example'>" + "x" * size + "</x>"

    core = inbound()
    assert core.phase is Phase.SECURE
    assert not any(isinstance(event, StreamClosed) for event in say(core, padded(16_000))[0])
    events, answer = say(core, padded(16_384))
    assert closed(events).condition == "policy-violation"
    assert "stanza-too-big" in answer
    events, _ = say(authenticated(), padded(16_384))
    assert not any(isinstance(event, StreamClosed) for event in events)


@pytest.mark.clause("ERR-07")
@pytest.mark.parametrize("filler", ["<x xmlns='urn:example'/>", " " * 24, "<x xmlns='urn:example'"])
def test_before_the_proof_all_of_it_is_bounded(filler: str) -> None:
    core = inbound()
    sent = 0
    while core.phase is not Phase.CLOSED:
        events = say(core, filler * 50)[0]
        sent += len(filler) * 50
        assert sent < 70_000
    assert closed(events).condition in ("policy-violation", "not-well-formed")
    if filler.endswith((">", " ")):
        assert sent > 64_000


@pytest.mark.clause("ERR-07", "XML-07")
@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_what_follows_the_proof_in_the_same_octets_is_not_counted(pieces: int) -> None:
    """A peer that may use our bidi stream sends its backlog right behind its answer."""
    core = outbound(
        None,
        Proves(),
        f"<dialback xmlns='{names.DIALBACK_FEATURE}'/><bidi xmlns='{names.BIDI_FEATURE}'/>",
    )
    stanza = f"<message from='a@{CAPULET}' to='{MONTAGUE}'><body>{'x' * 20_000}</body></message>"
    text = f"<db:result from='{CAPULET}' to='{MONTAGUE}' type='valid'/>" + stanza * 5
    size = -(-len(text) // pieces)
    events = [
        event for at in range(0, len(text), size) for event in say(core, text[at : at + size])[0]
    ]
    runs = [event for event in events if isinstance(event, RunReceived)]
    assert sum(run.counts.total for run in runs) == 5


@pytest.mark.clause("TLS-06")
def test_tls_starts_with_a_fresh_parser() -> None:
    core = starting()
    events, _ = say(core, header() + STARTTLS)
    assert events == [StartTls()]
    core.tls_established(Proves(), NOW)
    events, answer = say(core, header())
    assert events == []
    assert "<stream:features>" in answer
