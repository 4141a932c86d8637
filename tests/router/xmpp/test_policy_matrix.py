"""TLS policy x certificate x dialback, both directions, every cell, in memory."""

import pytest

from router.xmpp import names
from router.xmpp.certificate import NO_CERTIFICATE, Evidence, Verdict
from router.xmpp.events import (
    Event,
    KeyReceived,
    PairAuthorised,
    PairRefused,
    RunReceived,
    StartTls,
    StreamClosed,
)
from router.xmpp.initiating import InitiatingStream
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.receiving import ReceivingStream
from router.xmpp.states import Phase
from tests.support.policy_cells import Cell, Expected, cells, expected
from tests.support.pump import (
    AUTH,
    CAPULET,
    MONTAGUE,
    NOW,
    PAIR,
    STARTTLS,
    features,
    header,
    ids,
    policy,
    say,
)
from tests.support.scripted_peer import (
    BIDI_FEATURE,
    DIALBACK_FEATURE,
    EXTERNAL_FEATURE,
    PROCEED,
    SUCCESS,
)

THEIRS = PAIR.inverse()
KEY = f"<db:result from='{CAPULET}' to='{MONTAGUE}'>key</db:result>"
STANZA = f"<message from='juliet@{CAPULET}' to='romeo@{MONTAGUE}'/>"


class Is:
    """A certificate with this verdict for the peer's domain."""

    def __init__(self, trusted: bool, covers: bool) -> None:
        self.verdict = Verdict(trusted, covers, "as the test says")

    def proves(self, domain: str) -> Verdict:
        assert domain == CAPULET
        return self.verdict


EVIDENCE: dict[str, Evidence] = {
    "valid": Is(True, True),
    "serverAuth only": Is(True, True),
    "wrong name": Is(True, False),
    "self-signed": Is(False, True),
    "expired": Is(False, True),
    "untrusted CA": Is(False, True),
    "none": NO_CERTIFICATE,
}


def settings(cell: Cell) -> Policy:
    rule = PeerRule(require_certificate=cell.require == "certificate")
    changes = {"tls_required": cell.tls_required, "dialback": cell.dialback}
    return policy(MONTAGUE, rule=rule, **changes)


def mechanism(events: list[Event], *, may_send: bool) -> str:
    found = [
        e.mechanism for e in events if isinstance(e, PairAuthorised) and e.may_send == may_send
    ]
    assert len(found) <= 1
    return found[0] if found else ""


def ended(events: list[Event]) -> str:
    """How the stream has ended, in the words of `Expected.ends`."""
    closed = [event for event in events if isinstance(event, StreamClosed)]
    if not closed:
        return ""
    assert closed == events[-1:], "nothing happens to a stream that is over"
    if closed[0].abrupt:
        return "tls"
    return "peer" if closed[0].by_peer else f"SE {closed[0].condition}"


def accept(cell: Cell) -> Expected:
    """A peer opens a stream; what came of it."""
    core = ReceivingStream(settings(cell), ids(), NOW)
    events, offered = say(core, header())
    if cell.tls != "none":
        more, answer = say(core, STARTTLS)
        assert (answer, more) == (PROCEED, [StartTls()])
        if cell.tls == "fails":
            more = core.receive_eof(NOW)
            assert core.bytes_to_send() == b""
            return Expected("", ended(more))
        events += core.tls_established(EVIDENCE[cell.certificate], NOW)
        more, offered = say(core, header())
        events += more
    assert ("<dialback " in offered) <= cell.dialback
    refused = ""
    if core.phase is not Phase.CLOSED and "EXTERNAL" in offered:
        assert say(core, AUTH)[1] == SUCCESS
        events += say(core, header())[0]
    elif core.phase is not Phase.CLOSED:
        more, answer = say(core, KEY)
        events += more
        for event in more:
            if isinstance(event, KeyReceived):
                events += core.answer_key(event.pair, event.stream_id, "valid", NOW)
                answer = core.bytes_to_send().decode()
        if '"error"' in answer:
            refused = "DE " + answer.partition("'><")[2].partition(" ")[0]
    result = Expected(mechanism(events, may_send=False), refused or ended(events))
    if core.phase is not Phase.CLOSED:
        events, _ = say(core, STANZA)
        assert isinstance(events[0], RunReceived) == (result.mechanism != "")
        assert ended(events) == ("" if result.mechanism else "SE not-authorized")
    assert not any(isinstance(event, RunReceived) for event in events) or result.mechanism
    return result


def call(cell: Cell) -> Expected:
    """We open a stream to a peer; what came of it."""
    core = InitiatingStream(settings(cell), ids(), PAIR, NOW)
    core.open()
    core.bytes_to_send()
    theirs = header(CAPULET, MONTAGUE, stream_id="a")
    here = [] if cell.tls == "none" else [STARTTLS]
    events, said = say(core, theirs + features(*here, BIDI_FEATURE, DIALBACK_FEATURE))
    if "<starttls " in said:
        assert said == STARTTLS, "nothing else in plaintext"
        answer = f"<failure xmlns='{names.TLS}'/></stream:stream>"
        events += say(core, answer if cell.tls == "none" else PROCEED)[0]
        if cell.tls == "starttls":
            events += core.tls_established(EVIDENCE[cell.certificate], NOW)
            core.bytes_to_send()
            offered = features(EXTERNAL_FEATURE, BIDI_FEATURE, DIALBACK_FEATURE)
            more, said = say(core, theirs + offered)
            events += more
        elif cell.tls == "fails":
            events += core.receive_eof(NOW)
    asks_bidi = "<bidi " in said
    assert not core.may_send(PAIR)
    if "<auth " in said:
        say(core, SUCCESS)
        events += say(core, theirs + features())[0]
    elif "<db:result " in said:
        assert cell.dialback
        answer = f"<db:result from='{CAPULET}' to='{MONTAGUE}' type='valid'/>"
        events += say(core, answer)[0]
    given_up = any(isinstance(event, PairRefused) for event in events)
    events = [event for event in events if isinstance(event, PairAuthorised | StreamClosed)]
    result = Expected(
        mechanism(events, may_send=True), "no way" if given_up else ended(events), asks_bidi
    )
    assert core.may_send(PAIR) == (result.mechanism != "")
    hears = [isinstance(event, RunReceived) for event in say(core, STANZA)[0]]
    assert any(hears) == (asks_bidi and result.mechanism != "")
    return result


@pytest.mark.clause("TLS-05", "TLS-07", "TLS-09", "SAS-01", "DBK-07", "CRT-06", "STR-17")
@pytest.mark.parametrize("cell", cells("in"), ids=str)
def test_a_peer_calls(cell: Cell) -> None:
    assert accept(cell) == expected(cell)


@pytest.mark.clause("TLS-05", "TLS-08", "SAS-02", "BIDI-12", "BIDI-13", "CRT-01")
@pytest.mark.parametrize("cell", cells("out"), ids=str)
def test_we_call_a_peer(cell: Cell) -> None:
    assert call(cell) == expected(cell)
