"""One in-band bytestream, alone and joined to another in memory (XEP-0047, XEP-0261)."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp.bytestreams.ibb import Role
from router.xmpp.bytestreams.ibb_events import (
    Closed,
    CloseReason,
    DataReceived,
    Drained,
    IbbEvent,
    Opened,
)
from router.xmpp.bytestreams.ibb_states import State
from router.xmpp.bytestreams.ibb_window import WindowLimits
from router.xmpp.errors import MisuseError
from router.xmpp.stanza import Stanza
from tests.router.xmpp.bytestreams.inband import (
    SID,
    End,
    answer,
    closing,
    data,
    joined,
    opening,
    pump,
    request,
    stanza,
)
from tests.support.pump import NOW

UNREACHABLE = ("remote-server-timeout", "wait")
IBB = "xmlns='http://jabber.org/protocol/ibb'"


def is_open(**terms: object) -> End:
    """Our end, opened by us."""
    here = End(Role.OPENS, **terms)
    (asked,) = here.sent()
    assert here.take(answer(asked)) == []
    assert here.events.pop() == Opened()
    return here


def blocks(sent: list[Stanza]) -> list[tuple[int, bytes]]:
    """Numbers and octets of the blocks among what was sent."""
    found = []
    for one in sent:
        _, sign, rest = one.octets.partition(b' seq="')
        if sign:
            text = rest.partition(b">")[2].partition(b"<")[0]
            found.append((int(rest.partition(b'"')[0]), base64.b64decode(text)))
    return found


def refusal(sent: list[Stanza]) -> tuple[str, str]:
    """Condition and type of the one error among what was sent."""
    (one,) = [each for each in sent if each.attributes.get("type") == "error"]
    kind = one.octets.partition(b"<error type='")[2].partition(b"'")[0]
    condition = one.octets.partition(b"'><")[2].partition(b" ")[0]
    return condition.decode(), kind.decode()


def is_close(one: Stanza) -> bool:
    return one.attributes["type"] == "set" and f"<close {IBB}".encode() in one.octets


def ended(events: list[IbbEvent]) -> Closed:
    """The end, which comes last and once."""
    assert [isinstance(event, Closed) for event in events].index(True) == len(events) - 1
    assert isinstance(events[-1], Closed)
    return events[-1]


# --- open ---


@pytest.mark.clause("IBB-01")
def test_the_initiator_opens_with_what_was_negotiated_and_then_sends() -> None:
    here = End(Role.OPENS, block_size_bytes=2048)
    here.stream.write(b"first", NOW)
    (asked,) = here.sent()
    assert asked.octets == (
        b'<iq from="relay.montague.example" to="relay.capulet.example"'
        b' id="relay.montague.example-1" type="set"><open xmlns=\'http://jabber.org/protocol/ibb\''
        b' block-size="2048" sid="ch3d9s71" stanza="iq"/></iq>'
    )
    assert blocks(here.take(answer(asked))) == [(0, b"first")]
    assert here.events == [Opened()]


@pytest.mark.clause("IBB-01")
def test_the_responder_waits_for_the_open_and_sends_nothing_before() -> None:
    here, there = joined()
    there.stream.write(b"early", NOW)
    assert there.sent() == []
    (asked,) = here.sent()
    reply, block = there.take(asked)
    assert reply.attributes["type"] == "result"
    assert blocks([block]) == [(0, b"early")]
    assert there.events == [Opened()]


@pytest.mark.clause("IBB-01", "IBB-02")
@pytest.mark.parametrize("size", [2048, 8192])
def test_an_open_with_another_block_size_is_refused(size: int) -> None:
    here = End(Role.EXPECTS_OPEN)
    assert refusal(here.take(opening(size))) == ("resource-constraint", "modify")
    assert here.stream.state is State.EXPECTING
    assert here.take(opening(4096))[0].attributes["type"] == "result"
    assert refusal(here.take(opening(4096))) == ("unexpected-request", "cancel")
    assert here.events == [Opened()]


@pytest.mark.clause("IBB-01")
def test_before_the_open_there_is_no_bytestream() -> None:
    here = End(Role.EXPECTS_OPEN)
    assert refusal(here.take(data(0))) == ("item-not-found", "cancel")
    assert refusal(here.take(closing())) == ("item-not-found", "cancel")
    assert here.stream.state is State.EXPECTING


@pytest.mark.clause("IBB-01")
def test_legacy_bytestreams_have_no_open() -> None:
    here = End(Role.NO_OPEN)
    here.stream.write(b"x", NOW)
    assert blocks(here.sent()) == [(0, b"x")]
    assert here.take(data(0, b"y"))[0].attributes["type"] == "result"
    assert here.octets() == b"y"


def test_an_open_that_is_refused_is_the_end() -> None:
    here = End(Role.OPENS)
    here.stream.write(b"lost", NOW)
    (asked,) = here.sent()
    assert here.take(answer(asked, ("not-acceptable", "cancel"))) == []
    assert here.events == [Closed(CloseReason.REFUSED, "not-acceptable", 4)]


@pytest.mark.clause("IBB-02")
def test_a_peer_that_wants_smaller_blocks_gets_them() -> None:
    here = End(Role.OPENS)
    (asked,) = here.sent()
    (asked,) = here.take(answer(asked, ("resource-constraint", "modify")))
    assert b' block-size="2048"' in asked.octets
    here.take(answer(asked))
    here.stream.write(b"x" * 3000, NOW)
    assert [len(octets) for _, octets in blocks(here.sent())] == [2048, 952]
    assert refusal(here.take(data(0, b"x" * 2049))) == ("bad-request", "cancel")


def test_blocks_do_not_shrink_for_ever() -> None:
    here = End(Role.OPENS)
    sent = here.sent()
    count = 0
    while sent:
        count += 1
        sent = here.take(answer(sent[0], ("resource-constraint", "modify")))
    assert count == 5  # 4096, 2048, 1024, 512, 256
    assert here.events == [Closed(CloseReason.REFUSED, "resource-constraint", 0)]


@pytest.mark.parametrize("role", [Role.OPENS, Role.EXPECTS_OPEN])
def test_nobody_waits_for_ever_to_open(role: Role) -> None:
    here = End(role, answer_timeout_s=60.0)
    here.sent()
    assert here.stream.deadline() == NOW + 60
    assert here.wait(NOW + 59) == []
    here.wait(NOW + 60)
    assert here.events == [Closed(CloseReason.UNDELIVERED, "no answer", 0)]
    assert here.stream.deadline() is None


# --- data ---


@pytest.mark.clause("IBB-04")
def test_both_directions_count_from_zero() -> None:
    here = is_open()
    here.stream.write(b"ours", NOW)
    assert blocks(here.sent()) == [(0, b"ours")]
    (reply,) = here.take(data(0, b"theirs"))
    assert (reply.attributes["type"], reply.attributes["id"]) == ("result", "q1")
    assert here.octets() == b"theirs"


@pytest.mark.clause("IBB-04")
def test_a_number_used_before_is_refused_and_not_used() -> None:
    here = is_open()
    here.take(data(0, b"a"))
    assert refusal(here.take(data(0, b"b"))) == ("unexpected-request", "cancel")
    here.take(data(1, b"c"))
    assert here.octets() == b"ac"


@pytest.mark.clause("IBB-04")
def test_a_gap_closes_the_bytestream_and_its_data_is_not_used() -> None:
    here = is_open()
    here.take(data(0, b"a"))
    sent = here.take(data(2, b"c"))
    assert refusal(sent) == ("item-not-found", "cancel")
    assert is_close(sent[-1])
    assert here.octets() == b"a"
    assert ended(here.events).reason is CloseReason.PEER_FAULT
    assert refusal(here.take(data(1, b"b"))) == ("item-not-found", "cancel")
    assert here.octets() == b"a"


@pytest.mark.clause("IBB-03")
@pytest.mark.parametrize(
    "payload",
    [
        f"<data {IBB} seq='0' sid='{SID}'>BBBB=CCC</data>",
        f"<data {IBB} seq='0' sid='{SID}'>{base64.b64encode(bytes(4097)).decode()}</data>",
        f"<data {IBB} sid='{SID}'>QUJD</data>",
    ],
)
def test_what_is_no_block_closes_the_bytestream(payload: str) -> None:
    here = is_open()
    sent = here.take(request(payload))
    assert refusal(sent) == ("bad-request", "cancel")
    assert is_close(sent[-1])
    assert ended(here.events).reason is CloseReason.PEER_FAULT


@pytest.mark.clause("IBB-03")
def test_a_block_of_exactly_the_block_size_is_taken() -> None:
    here = is_open()
    here.take(data(0, bytes(4096)))
    assert here.octets() == bytes(4096)


@pytest.mark.clause("IBB-05")
def test_a_window_of_blocks_goes_and_the_rest_as_answers_come() -> None:
    here = is_open(block_size_bytes=1)
    here.stream.write(b"0123456789", NOW)
    sent = here.sent()
    assert blocks(sent) == [(n, b"%d" % n) for n in range(8)]
    assert blocks(here.take(answer(sent[0]))) == [(8, b"8")]
    assert here.stream.acknowledged_bytes == 1


def test_full_and_drained() -> None:
    here = is_open(block_size_bytes=10, window=WindowLimits(full_at_bytes=20))
    here.stream.write(b"x" * 19, NOW)
    assert not here.stream.is_full()
    here.stream.write(b"x", NOW)
    assert here.stream.is_full()
    for sent in here.sent():
        here.take(answer(sent))
    assert here.events == [Drained()]


@pytest.mark.clause("IBB-05")
def test_what_is_not_wanted_yet_gets_no_answer() -> None:
    here = is_open()
    here.stream.pause()
    assert here.take(data(0, b"a")) == []
    assert here.take(data(1, b"b")) == []
    assert here.events == []
    here.events += here.stream.resume(NOW)
    assert [one.attributes["type"] for one in here.sent()] == ["result", "result"]
    assert here.events == [DataReceived(b"a"), DataReceived(b"b")]


def test_a_peer_that_does_not_stop_is_stopped() -> None:
    here = is_open(max_held_bytes=10)
    here.stream.pause()
    here.take(data(0, b"0123456789"))
    assert refusal(here.take(data(1, b"x"))) == ("resource-constraint", "wait")
    assert here.events == [], "what came before is reported first"
    here.events += here.stream.resume(NOW)
    assert ended(here.events).reason is CloseReason.PEER_FAULT
    assert here.octets() == b"0123456789"


def test_data_in_messages() -> None:
    here = is_open(stanza="message", block_size_bytes=4)
    here.stream.write(b"0123456789" * 5, NOW)
    sent = here.sent()
    assert {one.kind for one in sent} == {"message"}
    assert len(sent) == 13
    assert (here.stream.acknowledged_bytes, here.stream.unsent_bytes()) == (50, 0)
    octets = data(0, b"abc").octets.replace(b"<iq", b"<message").replace(b"iq>", b"message>")
    assert here.take(stanza(octets.replace(b" type='set'", b""))) == []
    assert here.octets() == b"abc"


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=50)), max_size=30),
    st.integers(1, 20),
    st.sampled_from(["iq", "message"]),
)
def test_whatever_is_written_arrives_on_the_other_side(
    writes: list[tuple[bool, bytes]], size: int, kind: str
) -> None:
    here, there = joined(block_size_bytes=size, stanza=kind)
    for is_here, octets in writes:
        (here if is_here else there).stream.write(octets, NOW)
    pump(here, there)
    here.events += here.stream.close(NOW)
    pump(here, there)
    assert there.octets() == b"".join(octets for is_here, octets in writes if is_here)
    assert here.octets() == b"".join(octets for is_here, octets in writes if not is_here)
    assert ended(here.events).is_clean()
    assert ended(there.events).is_clean()


# --- what does not arrive ---


@pytest.mark.clause("IBB-08")
@pytest.mark.parametrize(
    "condition", ["recipient-unavailable", "remote-server-timeout", "remote-server-not-found"]
)
def test_what_was_not_delivered_is_sent_again_later(condition: str) -> None:
    here = is_open(block_size_bytes=1)
    here.stream.write(b"ab", NOW)
    first, second = here.sent()
    assert here.take(answer(first, (condition, "wait"))) == []
    assert here.take(answer(second, (condition, "wait"))) == []
    here.stream.write(b"c", NOW)
    assert here.sent() == [], "suspended"
    assert here.stream.deadline() == NOW + 1
    assert blocks(here.wait(NOW + 1)) == [(0, b"a"), (1, b"b"), (2, b"c")]


@pytest.mark.clause("IBB-08")
def test_a_peer_that_had_it_already_has_taken_it() -> None:
    here = is_open()
    here.stream.write(b"a", NOW)
    (sent,) = here.sent()
    here.take(answer(sent, UNREACHABLE))
    (again,) = here.wait(NOW + 1)
    here.take(answer(again, ("unexpected-request", "cancel")))
    assert (here.events, here.stream.acknowledged_bytes) == ([], 1)


@pytest.mark.clause("IBB-04", "IBB-08")
@pytest.mark.parametrize(
    "error",
    [
        ("unexpected-request", "cancel"),
        ("item-not-found", "cancel"),
        ("bad-request", "cancel"),
        ("service-unavailable", "cancel"),
        ("unexpected-request", "wait"),
        ("resource-constraint", "wait"),
    ],
)
def test_any_other_error_closes_the_bytestream(error: tuple[str, str]) -> None:
    here = is_open()
    here.stream.write(b"a", NOW)
    (sent,) = here.sent()
    (close,) = here.take(answer(sent, error))
    assert is_close(close)
    assert here.events == [Closed(CloseReason.REJECTED, error[0], 1)]


@pytest.mark.clause("IBB-08")
def test_a_peer_that_stays_away_is_given_up() -> None:
    here = is_open()
    here.stream.write(b"a", NOW)
    sent, now = here.sent(), NOW
    while not here.events:
        for one in sent:
            here.take(answer(one, UNREACHABLE), now)
        at = here.stream.deadline()
        if at is not None:
            now = at
            sent = here.wait(now)
    assert 60 < now - NOW < 200
    assert here.events == [Closed(CloseReason.UNDELIVERED, "remote-server-timeout", 1)]


@pytest.mark.clause("IBB-08")
def test_a_peer_that_never_answers_is_given_up() -> None:
    here = is_open()
    here.stream.write(b"a", NOW)
    here.sent()
    for _ in range(100):
        at = here.stream.deadline()
        if at is None:
            break
        here.wait(at)
    assert here.events == [Closed(CloseReason.UNDELIVERED, "no answer", 1)]


def carry(here: End, there: End, fates: list[str]) -> None:
    """Carry stanzas until all is quiet; what becomes of each block from here, the fates say."""
    to_there, to_here, now = here.sent(), there.sent(), NOW
    for _ in range(2000):
        if to_here:
            to_there += here.take(to_here.pop(0), now)
        elif to_there:
            one = to_there.pop(0)
            fate = fates.pop(0) if fates and blocks([one]) else "took"
            replies = [] if fate in ("lost", "bounced") else there.take(one, now)
            if fate in ("bounced", "in doubt"):
                to_there += here.take(answer(one, UNREACHABLE), now)
            elif fate == "took":
                to_here += replies
        else:
            at = here.stream.deadline()
            if at is None or not here.stream.unsent_bytes():
                return
            now = max(now, at)
            to_there += here.wait(now)
    raise AssertionError("it never came to an end")


@pytest.mark.clause("IBB-08")
def test_a_window_that_was_cut_in_the_middle_is_repaired() -> None:
    here, there = joined(block_size_bytes=1, can_repair=True)
    here.stream.write(b"0123456789", NOW)
    carry(here, there, ["took", "took", "bounced", "in doubt", "bounced"])
    assert there.octets() == b"0123456789"
    assert here.stream.acknowledged_bytes == 10
    assert not [event for event in here.events + there.events if isinstance(event, Closed)]


@given(
    st.binary(min_size=1, max_size=40),
    st.booleans(),
    st.lists(st.sampled_from(["took", "bounced", "lost", "in doubt"]), max_size=20),
)
def test_whatever_gets_lost_no_octet_is_missing_or_doubled(
    octets: bytes, repairs: bool, fates: list[str]
) -> None:
    here, there = joined(
        block_size_bytes=3, can_repair=repairs, window=WindowLimits(max_retries=100)
    )
    here.stream.write(octets, NOW)
    carry(here, there, fates)
    assert octets.startswith(there.octets())
    assert here.stream.acknowledged_bytes <= len(there.octets())
    if repairs:
        assert there.octets() == octets


# --- close ---


@pytest.mark.clause("IBB-07")
def test_close_comes_after_everything_written_has_been_taken() -> None:
    here = is_open()
    here.stream.write(b"last", NOW)
    assert here.stream.close(NOW) == []
    (block,) = here.sent()
    with pytest.raises(MisuseError):
        here.stream.write(b"more", NOW)
    (close,) = here.take(answer(block))
    assert is_close(close)
    here.take(data(0, b"the peer's rest"))
    assert here.octets() == b"the peer's rest"
    here.take(answer(close))
    assert here.events[-1] == Closed(CloseReason.LOCAL)


@pytest.mark.clause("IBB-07")
def test_the_peers_close_is_answered_once_our_rest_has_been_taken() -> None:
    here = is_open(block_size_bytes=1, window=WindowLimits(blocks=1))
    here.stream.write(b"ab", NOW)
    (a,) = here.sent()
    assert here.take(closing()) == []
    (b,) = here.take(answer(a))
    assert blocks([b]) == [(1, b"b")]
    (reply,) = here.take(answer(b))
    assert (reply.attributes["type"], reply.attributes["id"]) == ("result", "q1")
    assert here.events == [Closed(CloseReason.PEER)]
    assert refusal(here.take(data(0))) == ("item-not-found", "cancel")


@pytest.mark.clause("IBB-07")
def test_a_peer_that_has_forgotten_the_bytestream_does_not_get_our_rest() -> None:
    here = is_open()
    here.stream.write(b"ab", NOW)
    (block,) = here.sent()
    here.take(closing())
    (reply,) = here.take(answer(block, ("item-not-found", "cancel")))
    assert reply.attributes["type"] == "result"
    assert here.events == [Closed(CloseReason.PEER, "", 2)]


@pytest.mark.clause("IBB-07")
def test_the_peers_close_is_answered_even_when_our_rest_cannot_be_delivered() -> None:
    here = is_open(window=WindowLimits(max_retries=0))
    here.stream.write(b"ab", NOW)
    (block,) = here.sent()
    here.take(closing())
    (reply,) = here.take(answer(block, UNREACHABLE))
    assert reply.attributes["type"] == "result"
    assert here.events == [Closed(CloseReason.UNDELIVERED, "remote-server-timeout", 2)]


@pytest.mark.clause("IBB-07")
def test_the_end_is_reported_after_what_was_held() -> None:
    here = is_open()
    here.stream.pause()
    here.take(data(0, b"a"))
    assert here.take(closing()) == []
    here.events += here.stream.resume(NOW)
    assert here.events == [DataReceived(b"a"), Closed(CloseReason.PEER)]
    assert len(here.sent()) == 2


@pytest.mark.parametrize("error", [None, ("item-not-found", "cancel")])
def test_a_bytestream_is_closed_whatever_the_answer(error: tuple[str, str] | None) -> None:
    here = is_open()
    here.stream.close(NOW)
    (close,) = here.sent()
    here.take(answer(close, error))
    assert here.events == [Closed(CloseReason.LOCAL)]


def test_a_close_without_an_answer_is_a_close() -> None:
    here = is_open()
    here.stream.close(NOW)
    here.sent()
    assert here.stream.deadline() == NOW + 60
    here.wait(NOW + 60)
    assert here.events == [Closed(CloseReason.LOCAL, "no answer", 0)]


def test_both_close_at_once() -> None:
    here, there = joined()
    pump(here, there)
    here.stream.close(NOW)
    there.stream.close(NOW)
    pump(here, there)
    assert ended(here.events).is_clean()
    assert ended(there.events).is_clean()


def test_close_before_it_is_open() -> None:
    here, there = joined()
    here.stream.close(NOW)
    there.events += there.stream.close(NOW)
    pump(here, there)
    assert here.events == [Closed(CloseReason.LOCAL)]
    assert there.events == [Closed(CloseReason.LOCAL)]


def test_abort_answers_what_was_held() -> None:
    here = is_open()
    here.stream.pause()
    here.take(data(0))
    here.stream.abort()
    close, refused = here.sent()
    assert is_close(close)
    assert refusal([refused]) == ("item-not-found", "cancel")
    assert here.stream.resume(NOW) == []


def test_abort_says_close_and_reports_nothing() -> None:
    here = is_open()
    here.stream.write(b"lost", NOW)
    here.sent()
    here.stream.abort()
    (close,) = here.sent()
    assert is_close(close)
    assert (here.stream.state, here.stream.deadline()) == (State.CLOSED, None)
    here.stream.abort()
    assert here.sent() == []


# --- anything ---


PAYLOADS = st.one_of(
    st.builds(
        lambda seq, octets, sid: f"<data {IBB} seq='{seq}' sid='{sid}'>{octets}</data>",
        st.integers(-1, 3),
        st.sampled_from(["QUJD", "QQ==", "=", "", "QUJDRA=="]),
        st.sampled_from([SID, "other"]),
    ),
    st.just(f"<close {IBB} sid='{SID}'/>"),
    st.sampled_from([2048, 4096]).map(lambda n: f"<open {IBB} sid='{SID}' block-size='{n}'/>"),
    st.just(f"<other {IBB} sid='{SID}'/>"),
    st.just("<x xmlns='urn:x'/><y xmlns='urn:y'/>"),
)


@given(
    st.sampled_from(Role),
    st.booleans(),
    st.lists(
        st.one_of(
            PAYLOADS,
            st.sampled_from(
                [
                    "result",
                    "item-not-found",
                    *UNREACHABLE[:1],
                    "pause",
                    "resume",
                    "write",
                    "close",
                    "later",
                ]
            ),
        ),
        max_size=40,
    ),
)
def test_whatever_happens_there_is_an_answer_for_each_request_and_one_end(
    role: Role, repairs: bool, happenings: list[str]
) -> None:
    here = End(role, can_repair=repairs, window=replace(WindowLimits(), full_at_bytes=10))
    ours, asked, answered, now = here.sent(), 0, 0, NOW
    for happening in happenings:
        sent: list[Stanza] = []
        if happening.startswith("<"):
            asked += 1
            sent = here.take(request(happening), now)
        elif happening in ("result", "item-not-found", "remote-server-timeout") and ours:
            error = None if happening == "result" else (happening, "wait")
            sent = here.take(answer(ours.pop(0), error), now)
        elif happening == "pause":
            here.stream.pause()
        elif happening == "resume":
            here.events += here.stream.resume(now)
        elif happening == "write" and here.stream.state in (State.OPEN, State.ANSWERING):
            here.stream.write(b"0123456789", now)
        elif happening == "close":
            here.events += here.stream.close(now)
        elif happening == "later":
            now += 25
            sent = here.wait(now)
        sent += here.sent()
        answered += sum(one.attributes.get("type") in ("result", "error") for one in sent)
        ours += [one for one in sent if one.attributes.get("type") == "set"]
    here.stream.abort()
    answered += sum(one.attributes.get("type") in ("result", "error") for one in here.sent())
    assert answered == asked
    assert sum(isinstance(event, Closed) for event in here.events) <= 1
