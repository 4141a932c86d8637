"""Dialback as one stream sees it: keys, questions, answers, and what is nobody's business."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp import names
from router.xmpp.dialback import key
from router.xmpp.errors import STANZA_CONDITIONS
from router.xmpp.events import (
    Event,
    Ignored,
    KeyAnswered,
    KeyReceived,
    PairAuthorised,
    PairRefused,
    StreamClosed,
)
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.policy import PeerRule
from router.xmpp.s2s import ServerStream
from tests.support.pump import (
    CAPULET,
    MONTAGUE,
    NOW,
    PAIR,
    Proves,
    header,
    ids,
    inbound,
    outbound,
    policy,
    say,
)

FEATURE = f"<dialback xmlns='{names.DIALBACK_FEATURE}'><errors/></dialback>"
THEIRS = PAIR.inverse()


def result(sender: str, target: str, value: str = "k") -> str:
    return f"<db:result from='{sender}' to='{target}'>{value}</db:result>"


def verify(sender: str, target: str, stream_id: str, value: str) -> str:
    return f"<db:verify from='{sender}' to='{target}' id='{stream_id}'>{value}</db:verify>"


def answered(kind: str, sender: str, target: str, what: str, stream_id: str = "") -> str:
    given = f" id='{stream_id}'" if stream_id else ""
    return f"<db:{kind} from='{sender}' to='{target}'{given} type='{what}'/>"


def asking() -> InitiatingStream:
    """A stream of ours on which the answer to our key is awaited."""
    core = outbound(None, Proves(), FEATURE)
    core.bytes_to_send()
    return core


# --- keys ---


@pytest.mark.clause("DBK-03")
@pytest.mark.parametrize(
    ("secret", "receiving", "originating", "stream_id", "expected"),
    [
        (
            "s3cr3tf0rd14lb4ck",
            "montague.example",
            "capulet.example",
            "D60000229F",
            "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3",
        ),
        (
            "s3cr3tf0rd14lb4ck",
            "xmpp.example.com",
            "example.org",
            "D60000229F",
            "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643",
        ),
        (
            "d14lb4ck43v3r",
            "capulet.example",
            "montague.example",
            "417GAF25",
            "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d",
        ),
    ],
)
def test_the_vectors_of_xep_0185(
    secret: str, receiving: str, originating: str, stream_id: str, expected: str
) -> None:
    assert key(secret.encode(), receiving, originating, stream_id) == expected
    raw = hashlib.sha256(secret.encode()).digest()
    text = f"{receiving} {originating} {stream_id}".encode()
    assert hmac.new(raw, text, hashlib.sha256).hexdigest() != expected


@pytest.mark.clause("DBK-03", "STR-06")
def test_our_key_is_bound_to_the_id_of_the_current_header() -> None:
    settings = policy(MONTAGUE, secret=b"d14lb4ck43v3r")
    core = InitiatingStream(settings, ids(), PAIR, NOW)
    core.open()
    say(core, header(stream_id="plaintext") + "<stream:features/>")
    say(core, f"<proceed xmlns='{names.TLS}'/>")
    core.tls_established(Proves(), NOW)
    _, answer = say(
        core, header(stream_id="417GAF25") + f"<stream:features>{FEATURE}</stream:features>"
    )
    assert answer.endswith(
        ">225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d</db:result>"
    )


@pytest.mark.clause("DBK-04", "DBK-12")
def test_a_core_that_never_saw_the_stream_confirms_its_key() -> None:
    asking_core = outbound(policy(MONTAGUE, secret=b"shared"), Proves(), FEATURE)
    sent = asking_core.bytes_to_send().decode()
    value = sent.rpartition("</db:result>")[0].rpartition(">")[2]
    other = inbound(policy(MONTAGUE, "x.example", secret=b"shared"))
    question = verify(CAPULET, MONTAGUE, "theirs", f"\n  {value} ")
    assert say(other, question)[1] == (
        f'<db:verify from="{MONTAGUE}" to="{CAPULET}" id="theirs" type="valid"/>'
    )
    elsewhere = inbound(policy(MONTAGUE, secret=b"another"))
    assert 'type="invalid"' in say(elsewhere, question)[1]


@pytest.mark.clause("DBK-12")
@pytest.mark.parametrize(
    ("sender", "target", "stream_id"),
    [
        (MONTAGUE, CAPULET, "x"),
        (CAPULET, "other.example", "x"),
        ("other.example", MONTAGUE, "x"),
        (CAPULET, MONTAGUE, "y"),
    ],
)
def test_a_key_is_good_for_its_pair_and_its_id_alone(
    sender: str, target: str, stream_id: str
) -> None:
    settings = policy(MONTAGUE, CAPULET, "other.example", secret=b"s")
    value = key(b"s", CAPULET, MONTAGUE, "x")
    good = say(inbound(settings, sender="a.example"), verify(CAPULET, MONTAGUE, "x", value))[1]
    assert 'type="valid"' in good
    bad = say(inbound(settings, sender="a.example"), verify(sender, target, stream_id, value))[1]
    assert 'type="invalid"' in bad


@given(st.binary(min_size=1), st.text("abc.-", min_size=1), st.text("abc.-", min_size=1))
def test_a_key_depends_on_the_direction(secret: bytes, one: str, other: str) -> None:
    same = key(secret, one, other, "i") == key(secret, other, one, "i")
    assert same == (one == other)


# --- addresses ---


@pytest.mark.clause("DBK-02")
@pytest.mark.parametrize("kind", ["result", "verify"])
@pytest.mark.parametrize(
    "addresses",
    [
        f"from='user@{CAPULET}' to='{MONTAGUE}'",
        f"from='{CAPULET}/x' to='{MONTAGUE}'",
        f"from='{CAPULET}' to='x@{MONTAGUE}'",
        f"from='{CAPULET}'",
        f"to='{MONTAGUE}'",
        f"from='' to='{MONTAGUE}'",
        f"from='not a domain' to='{MONTAGUE}'",
    ],
)
def test_addresses_are_two_domains(kind: str, addresses: str) -> None:
    events, _ = say(inbound(), f"<db:{kind} {addresses} id='1'>k</db:{kind}>")
    assert isinstance(events[-1], StreamClosed)
    assert events[-1].condition == "improper-addressing"


@pytest.mark.clause("DBK-02", "RTE-13")
def test_addresses_are_normalised_and_the_key_trimmed() -> None:
    events, _ = say(inbound(), result("CAPULET.Example.", "Montague.EXAMPLE", "\n\t k \n"))
    assert events == [KeyReceived(THEIRS, "id1", "k")]


# --- receiving server ---


@pytest.mark.clause("DBK-07")
@pytest.mark.parametrize(
    ("rule", "condition"),
    [
        (PeerRule(deny=True), "policy-violation"),
        (PeerRule(require_certificate=True), "not-authorized"),
    ],
)
def test_keys_that_the_rule_of_their_sender_refuses(rule: PeerRule, condition: str) -> None:
    settings = replace(policy(MONTAGUE), rule=lambda d: rule if d == "x.example" else PeerRule())
    events, answer = say(inbound(settings), result("x.example", MONTAGUE))
    assert events == []
    assert f"<{condition} xmlns='{names.STANZA_ERRORS}'/>" in answer
    assert say(inbound(settings), result(CAPULET, MONTAGUE))[0] != []


@pytest.mark.clause("DBK-07", "DBK-26")
def test_sixteen_keys_may_be_pending() -> None:
    core = inbound()
    for number in range(16):
        events, answer = say(core, result(f"d{number}.example", MONTAGUE))
        assert isinstance(events[0], KeyReceived)
        assert answer == ""
    events, answer = say(core, result("d16.example", MONTAGUE))
    assert events == []
    assert 'type="error"' in answer
    assert "<error type='wait'><resource-constraint " in answer
    core.answer_key(DomainPair("d3.example", MONTAGUE), "id1", "valid", NOW)
    assert isinstance(say(core, result("d16.example", MONTAGUE))[0][0], KeyReceived)


@pytest.mark.clause("DBK-07", "DBK-08", "DBK-26")
def test_many_senders_on_one_stream_and_not_without_end() -> None:
    domains = [f"d{number}.example" for number in range(1001)]
    core = inbound(None, Proves(*domains))
    say(core, result(domains[0], MONTAGUE))
    for domain in domains[1:1000]:
        events, answer = say(core, result(domain, MONTAGUE))
        assert events == [PairAuthorised(DomainPair(domain, MONTAGUE), False, "external")]
        assert 'type="valid"' in answer
    events, answer = say(core, result(domains[1000], MONTAGUE))
    assert events == []
    assert "<resource-constraint " in answer
    assert 'type="valid"' in say(core, result(domains[7], MONTAGUE))[1]


@pytest.mark.clause("DBK-09", "DBK-14")
@pytest.mark.parametrize(
    ("pair", "stream_id"),
    [
        (THEIRS, "id2"),
        (THEIRS, ""),
        (PAIR, "id1"),
        (DomainPair("x.example", MONTAGUE), "id1"),
        (DomainPair(CAPULET, "x.example"), "id1"),
    ],
)
def test_a_verdict_counts_for_its_question_only(pair: DomainPair, stream_id: str) -> None:
    core = inbound(bidi=True)
    say(core, result(*THEIRS))
    assert core.answer_key(pair, stream_id, "valid", NOW) == []
    assert core.bytes_to_send() == b""
    assert not core.grants.proved()
    assert core.answer_key(THEIRS, "id1", "valid", NOW) != []


@pytest.mark.clause("DBK-17", "DBK-23")
@pytest.mark.parametrize(
    "condition",
    ["remote-server-not-found", "remote-connection-failed", "remote-server-timeout"],
)
def test_trouble_with_verification_is_an_error_of_the_pair(condition: str) -> None:
    core = inbound()
    say(core, result(*THEIRS))
    assert core.answer_key(THEIRS, "id1", condition, NOW) == []
    kind = "cancel" if condition == "remote-server-not-found" else "wait"
    assert core.bytes_to_send().decode() == (
        f'<db:result from="{MONTAGUE}" to="{CAPULET}" type="error"><error type=\'{kind}\'>'
        f"<{condition} xmlns='{names.STANZA_ERRORS}'/></error></db:result>"
    )


@pytest.mark.clause("DBK-16")
@pytest.mark.parametrize("other_proved", [False, True])
def test_after_an_invalid_key_the_stream_lives_for_other_pairs_only(other_proved: bool) -> None:
    core = inbound(None, Proves("x.example"))
    if other_proved:
        say(core, result("x.example", MONTAGUE))
    say(core, result(*THEIRS))
    core.answer_key(THEIRS, "id1", "invalid", NOW)
    sent = core.bytes_to_send().decode()
    assert ("<forbidden " in sent) == other_proved
    assert sent.endswith('type="invalid"/></stream:stream>') != other_proved
    assert THEIRS not in core.grants.receive


# --- initiating server ---


@pytest.mark.clause("DBK-18", "DBK-28")
@pytest.mark.parametrize(
    "stray",
    [
        answered("result", MONTAGUE, CAPULET, "valid"),
        answered("result", CAPULET, "other.example", "valid"),
        answered("result", "other.example", MONTAGUE, "valid"),
        answered("result", CAPULET, MONTAGUE, "Valid"),
        answered("result", CAPULET, MONTAGUE, ""),
        answered("verify", CAPULET, MONTAGUE, "valid", "theirs"),
        answered("verify", CAPULET, MONTAGUE, "error"),
    ],
)
def test_what_is_no_answer_to_our_key_changes_nothing(stray: str) -> None:
    core = asking()
    events, answer = say(core, stray)
    assert [type(event) for event in events] == [Ignored]
    assert answer == ""
    assert not core.grants.proved()
    events, _ = say(core, answered("result", CAPULET, MONTAGUE, "valid"))
    assert events == [PairAuthorised(PAIR, True, "dialback")]


@pytest.mark.clause("DBK-21", "DBK-22", "DBK-23")
@pytest.mark.parametrize("condition", [*sorted(STANZA_CONDITIONS), "unheard-of", None])
def test_any_error_is_the_pairs_failure_and_not_the_streams(condition: str | None) -> None:
    core = asking()
    error = f"<error type='wait'><{condition} xmlns='{names.STANZA_ERRORS}'/></error>"
    events, answer = say(
        core,
        f"<db:result from='{CAPULET}' to='{MONTAGUE}' type='error'>"
        f"{error if condition else ''}</db:result>",
    )
    (refused,) = events
    assert isinstance(refused, PairRefused)
    assert (refused.pair, refused.error.condition) == (PAIR, "remote-server-timeout")
    known = condition if condition in STANZA_CONDITIONS else "undefined-condition"
    assert str(known) in refused.error.text
    assert answer == ""


@pytest.mark.clause("DBK-20")
def test_invalid_ends_our_side_and_no_stanza_follows() -> None:
    core = asking()
    events, answer = say(core, answered("result", CAPULET, MONTAGUE, "invalid"))
    (refused,) = events
    assert isinstance(refused, PairRefused)
    assert refused.error.condition == "internal-server-error"
    assert answer == "</stream:stream>"
    assert not core.may_send(PAIR)


@pytest.mark.clause("DBK-24", "DBK-21")
def test_questions_are_given_up_each_in_its_time() -> None:
    core = asking()
    core.verify(THEIRS, "ours", "k", NOW + 10)
    assert core.deadline() == NOW + 30
    (refused,) = core.deadline_passed(NOW + 30)
    assert isinstance(refused, PairRefused)
    assert core.deadline() == NOW + 40
    assert core.deadline_passed(NOW + 40) == [KeyAnswered(THEIRS, "ours", "remote-server-timeout")]
    assert core.deadline() == NOW + 60, "the handshake's"


# --- authoritative server's answers ---


@pytest.mark.clause("DBK-14")
@pytest.mark.parametrize("verdict", ["valid", "invalid"])
def test_an_answer_is_taken_once(verdict: str) -> None:
    core = asking()
    core.verify(THEIRS, "ours", "k", NOW)
    reply = answered("verify", CAPULET, MONTAGUE, verdict, "ours")
    assert say(core, reply)[0] == [KeyAnswered(THEIRS, "ours", verdict)]
    assert [type(event) for event in say(core, reply)[0]] == [Ignored]


@pytest.mark.clause("STR-15", "DBK-14")
def test_an_answer_we_waited_for_counts_while_we_close_and_a_grant_does_not() -> None:
    core = asking()
    core.verify(THEIRS, "ours", "k", NOW)
    core.close(NOW)
    core.bytes_to_send()
    events, answer = say(
        core,
        answered("result", CAPULET, MONTAGUE, "valid")
        + answered("verify", CAPULET, MONTAGUE, "valid", "ours"),
    )
    assert [type(event) for event in events] == [Ignored, KeyAnswered]
    assert answer == ""
    assert not core.grants.proved()


@pytest.mark.clause("DBK-28")
@pytest.mark.parametrize("make", [inbound, asking])
def test_ten_strays_are_let_pass(make: Callable[[], ServerStream]) -> None:
    core = make()
    stray = answered("result", "x.example", MONTAGUE, "valid")
    events: list[Event] = []
    for _ in range(10):
        events, answer = say(core, stray)
        assert [type(event) for event in events] == [Ignored]
        assert answer == ""
    events, _ = say(core, stray)
    assert isinstance(events[-1], StreamClosed)
    assert events[-1].condition == "policy-violation"
