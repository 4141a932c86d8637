"""We as a component of another's server (XEP-0114), with our own server side at the other end.

Whole conversations are in tests/transcripts/component_client*.txt.
"""

import pytest

from router.xmpp import names
from router.xmpp.component import ComponentStream
from router.xmpp.component_client import ComponentClientStream
from router.xmpp.errors import MisuseError
from router.xmpp.events import (
    AttachRequested,
    Event,
    PairAuthorised,
    RunReceived,
    StanzaRefused,
    StreamClosed,
)
from router.xmpp.pair import DomainPair
from tests.support.pump import CAPULET, MONTAGUE, NOW, ids, policy, pump, say

RELAY = "relay.example"
IN, OUT = DomainPair(CAPULET, RELAY), DomainPair(RELAY, CAPULET)
HEADER = (
    f"<stream:stream xmlns='{names.COMPONENT}' xmlns:stream='{names.STREAMS}'"
    f" from='{RELAY}' id='3BF96D32'>"
)


def client(secret: str = "s3cr3t") -> ComponentClientStream:
    """Our header has been sent."""
    core = ComponentClientStream(policy(MONTAGUE), RELAY, secret, NOW)
    assert core.open() == []
    return core


def server(secret: str = "s3cr3t", domain: str = RELAY) -> ComponentStream:
    return ComponentStream(policy(CAPULET, domain), ids(), {domain: secret}, NOW)


def attached() -> ComponentClientStream:
    core = client()
    say(core, HEADER + "<handshake/>")
    return core


def condition(events: list[Event]) -> str | None:
    assert isinstance(events[-1], StreamClosed), events
    return events[-1].condition


@pytest.mark.clause("CMP-01", "CMP-03", "CMP-04")
@pytest.mark.parametrize("secret", ["s3cr3t", "pässwörd", "a<b&c"])
def test_both_ends_of_a_components_stream(secret: str) -> None:
    ours, theirs = client(secret), server(secret)
    mine, yours = pump(ours, theirs)
    assert (mine, yours) == ([], [AttachRequested(RELAY)])
    theirs.answer_attach(True, NOW)
    mine, _ = pump(ours, theirs)
    assert mine == [PairAuthorised(DomainPair(RELAY, RELAY), True, "component")]
    there = f"<message from='{RELAY}' to='b@{CAPULET}'/>".encode()
    back = f"<message from='b@{CAPULET}' to='{RELAY}'/>".encode()
    ours.send_run(OUT, there, 1)
    theirs.send_run(IN, back, 1)
    mine, yours = pump(ours, theirs)
    assert [event.octets for event in mine if isinstance(event, RunReceived)] == [back]
    assert [event.octets for event in yours if isinstance(event, RunReceived)] == [there]
    ours.close(NOW)
    mine, yours = pump(ours, theirs)
    assert (mine, yours) == ([StreamClosed(None, False)], [StreamClosed(None, True)])


@pytest.mark.clause("CMP-02", "CMP-03")
@pytest.mark.parametrize(
    ("theirs", "expected"),
    [(server(domain="other.example"), "host-unknown"), (server("other"), "not-authorized")],
)
def test_what_the_server_refuses(theirs: ComponentStream, expected: str) -> None:
    mine, _ = pump(client(), theirs)
    assert condition(mine) == expected
    assert isinstance(mine[-1], StreamClosed) and mine[-1].by_peer


@pytest.mark.clause("CMP-02")
def test_a_component_that_is_there_already() -> None:
    ours, theirs = client(), server()
    pump(ours, theirs)
    theirs.answer_attach(False, NOW)
    mine, _ = pump(ours, theirs)
    assert condition(mine) == "conflict"


@pytest.mark.clause("CMP-01")
def test_our_header_names_the_component_and_no_version() -> None:
    sent = client().bytes_to_send().decode()
    assert sent.endswith(f' to="{RELAY}">')
    assert f"xmlns='{names.COMPONENT}'" in sent
    assert sent.count("version=") == 1, "of XML, not of XMPP"


@pytest.mark.clause("CMP-01")
def test_another_content_namespace() -> None:
    events, _ = say(client(), HEADER.replace(names.COMPONENT, names.CLIENT))
    assert condition(events) == "invalid-namespace"


@pytest.mark.clause("CMP-03", "STR-17")
@pytest.mark.parametrize(
    "early", [f"<message from='{CAPULET}' to='{RELAY}'/>", "<message/>", "<foo/>"]
)
def test_no_stanza_before_the_handshake_is_accepted(early: str) -> None:
    events, _ = say(client(), HEADER + early)
    assert condition(events) == "not-authorized"


def test_a_second_handshake_changes_nothing() -> None:
    core = attached()
    events, answer = say(core, "<handshake/>")
    assert (len(events), answer) == (1, "")
    assert core.may_send(OUT)


@pytest.mark.clause("CMP-04", "RTE-02", "RTE-03")
@pytest.mark.parametrize(
    ("sender", "target", "expected"),
    [
        (f"b@{CAPULET}", f"x@{RELAY}", None),
        (CAPULET, MONTAGUE, "host-unknown"),
        (CAPULET, f"sub.{RELAY}", "host-unknown"),
        (MONTAGUE, RELAY, "invalid-from"),
        ("", RELAY, "improper-addressing"),
        (CAPULET, "", "improper-addressing"),
    ],
)
def test_what_a_server_may_bring(sender: str, target: str, expected: str | None) -> None:
    events, _ = say(attached(), f"<message from='{sender}' to='{target}'/>")
    if expected is None:
        assert isinstance(events[0], RunReceived)
        assert events[0].pair == IN
    else:
        assert condition(events) == expected


@pytest.mark.clause("RTE-09")
def test_a_stanza_to_be_answered() -> None:
    core = attached()
    [event] = say(core, f"<iq from='{CAPULET}' to='{RELAY}'/>")[0]
    assert isinstance(event, StanzaRefused)
    events, _ = say(core, f"<iq from='{CAPULET}' to='{MONTAGUE}'/>")
    assert condition(events) == "host-unknown"


@pytest.mark.clause("CMP-04")
def test_what_may_be_sent() -> None:
    early, core = client(), attached()
    assert not early.may_send(OUT)
    assert core.may_send(OUT)
    assert not core.may_send(DomainPair(MONTAGUE, CAPULET))
    with pytest.raises(MisuseError):
        core.send_run(IN, b"<message/>", 1)
    core.close(NOW)
    assert not core.may_send(OUT)


def test_a_stream_that_is_closed_while_it_opens() -> None:
    core = client()
    core.close(NOW)
    core.bytes_to_send()
    assert say(core, HEADER + "<handshake/>")[1] == ""
    assert not core.may_send(OUT)
    assert condition(say(core, "</stream:stream>")[0]) is None


@pytest.mark.clause("ERR-07")
def test_a_server_that_says_nothing() -> None:
    assert condition(client().deadline_passed(NOW + 60)) == "policy-violation"
    assert attached().deadline() is None
