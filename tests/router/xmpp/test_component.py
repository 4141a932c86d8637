"""A component's stream (XEP-0114): the handshake, and whom a component may speak for."""

import hashlib

import pytest

from router.xmpp import names
from router.xmpp.component import ComponentStream
from router.xmpp.events import AttachRequested, Event, StreamClosed
from router.xmpp.pair import DomainPair
from tests.support.pump import CAPULET, MONTAGUE, NOW, PAIR, policy, say

# The vector of XEP-0114 §3: id 3BF96D32, secret s3cr3t.
VECTOR = "ba33290100f616a33656a931798d6c9011cfa840"
HANDSHAKE = f"<handshake>{VECTOR}</handshake>"


def header(target: str | None = MONTAGUE, content: str = names.COMPONENT) -> str:
    to = "" if target is None else f" to='{target}'"
    return f"<stream:stream xmlns='{content}' xmlns:stream='{names.STREAMS}'{to}>"


def stream(secret: str = "s3cr3t") -> ComponentStream:
    settings = policy("default.example", MONTAGUE)
    return ComponentStream(settings, lambda: "3BF96D32", {MONTAGUE: secret}, NOW)


def attached() -> ComponentStream:
    core = stream()
    say(core, header() + HANDSHAKE)
    core.answer_attach(True, NOW)
    core.bytes_to_send()
    return core


def condition(events: list[Event]) -> str | None:
    assert isinstance(events[-1], StreamClosed)
    return events[-1].condition


@pytest.mark.clause("CMP-01")
def test_our_header_has_the_components_name_and_no_features_follow() -> None:
    _, answer = say(stream(), header())
    assert f"xmlns='{names.COMPONENT}'" in answer
    assert f'from="{MONTAGUE}" id="3BF96D32">' in answer
    assert answer.count("version=") == 1, "of XML, not of XMPP"
    assert "features" not in answer


@pytest.mark.clause("CMP-01")
def test_another_content_namespace() -> None:
    events, answer = say(stream(), header(content=names.SERVER))
    assert condition(events) == "invalid-namespace"
    assert answer.endswith("</stream:stream>")


@pytest.mark.clause("CMP-02")
@pytest.mark.parametrize("target", ["nope.example", CAPULET, None, "", "a@b", "bad domain"])
def test_a_domain_that_is_no_component_here(target: str | None) -> None:
    events, answer = say(stream(), header(target))
    assert condition(events) == "host-unknown"
    assert 'from="default.example"' in answer


@pytest.mark.clause("CMP-03")
def test_the_handshake_of_the_vector() -> None:
    events, answer = say(stream(), header() + HANDSHAKE)
    assert events == [AttachRequested(MONTAGUE)]
    assert "<handshake/>" not in answer


@pytest.mark.clause("CMP-03")
def test_a_secret_in_utf_8() -> None:
    given = hashlib.sha1("3BF96D32pässwörd".encode()).hexdigest()
    events, _ = say(stream("pässwörd"), header() + f"<handshake> {given}\n</handshake>")
    assert events == [AttachRequested(MONTAGUE)]


@pytest.mark.clause("CMP-03")
@pytest.mark.parametrize("given", ["", VECTOR.upper(), VECTOR[:-1], VECTOR + "0", "é", "s3cr3t"])
def test_a_wrong_handshake(given: str) -> None:
    core = stream()
    events, answer = say(core, header() + f"<handshake>{given}</handshake>")
    assert condition(events) == "not-authorized"
    assert "<handshake/>" not in answer
    assert core.answer_attach(True, NOW) == []
    assert not core.may_send(PAIR.inverse())


@pytest.mark.clause("CMP-03", "STR-17")
@pytest.mark.parametrize(
    "early",
    [
        f"<message from='a@{MONTAGUE}' to='{CAPULET}'/>",
        "<message/>",
        f"<iq from='a@{MONTAGUE}' to='{CAPULET}'/>",
        "<x xmlns='urn:example'/>",
        "<foo/>",
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_nothing_is_taken_before_the_handshake_is_answered(early: str, asked: bool) -> None:
    events, _ = say(stream(), header() + (HANDSHAKE if asked else "") + early)
    assert condition(events) == "not-authorized"


@pytest.mark.clause("CMP-03")
def test_two_handshakes_before_the_answer() -> None:
    events, _ = say(stream(), header() + HANDSHAKE * 2)
    assert condition(events) == "not-authorized"


def test_one_more_handshake_afterwards_changes_nothing() -> None:
    core = attached()
    events, answer = say(core, HANDSHAKE)
    assert not any(isinstance(event, (AttachRequested, StreamClosed)) for event in events)
    assert answer == ""


@pytest.mark.clause("CMP-02")
def test_an_answer_that_comes_too_late() -> None:
    core = stream()
    say(core, header() + HANDSHAKE)
    assert core.is_attaching()
    core.receive_eof(NOW)
    assert not core.is_attaching()
    assert core.answer_attach(True, NOW) == []
    assert core.bytes_to_send() == b""


@pytest.mark.clause("CMP-04")
@pytest.mark.parametrize(
    ("stanza", "expected"),
    [
        (f"<message from='a@{MONTAGUE}'/>", "improper-addressing"),
        (f"<message to='{CAPULET}'/>", "improper-addressing"),
        (f"<message from='a@{CAPULET}' to='{MONTAGUE}'/>", "invalid-from"),
        (f"<message from='a@sub.{MONTAGUE}' to='{CAPULET}'/>", "invalid-from"),
        (f"<iq from='a@{CAPULET}' to='{MONTAGUE}'/>", "invalid-from"),
        (f"<message xmlns='jabber:client' from='{MONTAGUE}' to='{CAPULET}'/>", "invalid-namespace"),
    ],
)
def test_a_component_speaks_for_its_own_domain(stanza: str, expected: str) -> None:
    events, _ = say(attached(), stanza)
    assert condition(events) == expected


@pytest.mark.clause("CMP-04")
def test_what_may_go_to_a_component() -> None:
    core = attached()
    assert core.may_send(DomainPair(CAPULET, MONTAGUE))
    assert core.may_send(DomainPair(MONTAGUE, MONTAGUE))
    assert not core.may_send(PAIR)
    core.close(NOW)
    assert not core.may_send(DomainPair(CAPULET, MONTAGUE))


@pytest.mark.clause("ERR-07")
def test_a_component_has_sixty_seconds_too() -> None:
    core = stream()
    say(core, header())
    assert condition(core.deadline_passed(NOW + 60)) == "policy-violation"
    assert attached().deadline() is None
