"""Streams on the local link: names in headers, certificates for who it is, and nothing relayed."""

from collections.abc import Sequence

import pytest

from router.xmpp import names
from router.xmpp.certificate import NO_CERTIFICATE, Evidence
from router.xmpp.e2e_ends import Ends
from router.xmpp.events import Event, PairAuthorised, RunReceived, StreamClosed, StreamReady
from router.xmpp.link_local_stream import MAX_ANSWERS, LinkInitiator, LinkRecipient
from router.xmpp.pair import DomainPair
from router.xmpp.policy import Policy
from router.xmpp.states import Phase
from tests.support.pump import NOW, STARTTLS, Proves, ids, policy, pump, say
from tests.support.pump import header as any_header

RELAY, MONTAGUE = "relay.montague.example", "montague.example"
THEIRS, CAPULET = "relay.capulet.example", "capulet.example"
ROMEO, JULIET = "romeo@forza", "juliet@pronto"
PAIR = DomainPair(MONTAGUE, CAPULET)
LANE = Ends(RELAY, THEIRS, frozenset({PAIR}))
INVERSE = Ends(THEIRS, RELAY, frozenset({PAIR.inverse()}))


def header(sender: str | None = JULIET, target: str | None = ROMEO) -> str:
    return any_header(sender, target, content=names.CLIENT)


def ours() -> Policy:
    """One that would be content with plaintext."""
    return policy(RELAY, MONTAGUE, tls_required=False)


def recipient(listed: Sequence[Ends] = (LANE,)) -> LinkRecipient:
    return LinkRecipient(ours(), ids(), listed, ROMEO, NOW)


def secured(sees: Evidence, listed: Sequence[Ends] = (LANE,)) -> tuple[LinkRecipient, list[Event]]:
    """Inside TLS; what the certificate was worth."""
    core = recipient(listed)
    say(core, header() + STARTTLS)
    assert core.phase is Phase.TLS
    return core, core.tls_established(sees, NOW)


def opened() -> LinkRecipient:
    core, _ = secured(Proves(THEIRS))
    say(core, header())
    assert core.phase is Phase.OPEN
    core.bytes_to_send()
    return core


def joined(a_sees: Evidence, b_sees: Evidence) -> tuple[list[Event], list[Event]]:
    """What happens at the router that has found the other, and at the one that was found."""
    there = policy(THEIRS, CAPULET, tls_required=False)
    a = LinkInitiator(ours(), ids("a"), LANE, ROMEO, JULIET, NOW)
    b = LinkRecipient(there, ids("b"), [INVERSE], JULIET, NOW)
    a.open()
    return pump(a, b, a_sees=a_sees, b_sees=b_sees)


def message(sender: str, target: str, kind: str = "message") -> str:
    return f"<{kind} from='{sender}' to='{target}' id='1'/>"


def condition(events: list[Event]) -> str | None:
    assert isinstance(events[-1], StreamClosed), events
    return events[-1].condition


# --- who it is ---


@pytest.mark.clause("LLP-04", "LLP-05")
def test_certificates_prove_both_ends_and_the_lane_is_up() -> None:
    seen_a, seen_b = joined(Proves(THEIRS), Proves(RELAY))
    assert seen_a == [
        StreamReady(THEIRS, True, True),
        PairAuthorised(PAIR, True, "e2e"),
        PairAuthorised(PAIR.inverse(), False, "e2e"),
    ]
    assert seen_b[0] == StreamReady(RELAY, True, True)


@pytest.mark.clause("LLP-05")
@pytest.mark.parametrize(
    ("a_sees", "b_sees"),
    [
        (NO_CERTIFICATE, Proves(RELAY)),
        (Proves(CAPULET), Proves(RELAY)),
        (Proves(THEIRS), NO_CERTIFICATE),
        (Proves(THEIRS), Proves(MONTAGUE)),
    ],
)
def test_without_its_certificate_a_name_is_nobody(a_sees: Evidence, b_sees: Evidence) -> None:
    seen_a, seen_b = joined(a_sees, b_sees)
    seen = [*seen_a, *seen_b]
    assert "policy-violation" in [e.condition for e in seen if isinstance(e, StreamClosed)]
    proved = [e for e in seen if isinstance(e, PairAuthorised)]
    assert not any(e.pair == PAIR and e.may_send for e in proved)


@pytest.mark.clause("LLP-02")
def test_who_says_nothing_of_itself_is_known_by_its_certificate() -> None:
    user = Ends(RELAY, "juliet@verona.example")
    core, _ = secured(Proves("juliet@verona.example"), [LANE, user])
    assert core.ends == user


@pytest.mark.clause("LLP-05")
def test_nothing_passes_in_plaintext() -> None:
    core = recipient()
    _, answer = say(core, header())
    assert "<required/>" in answer
    events, answer = say(core, message(f"a@{CAPULET}", f"b@{MONTAGUE}"))
    assert not any(isinstance(event, RunReceived) for event in events)
    assert core.phase is not Phase.OPEN


# --- the names in headers ---


@pytest.mark.clause("LLP-04")
def test_headers_have_the_names_on_the_link() -> None:
    _, answer = say(recipient(), header())
    assert f'from="{ROMEO}"' in answer or f"from='{ROMEO}'" in answer
    assert f'to="{JULIET}"' in answer or f"to='{JULIET}'" in answer
    initiator = LinkInitiator(ours(), ids(), LANE, ROMEO, JULIET, NOW)
    initiator.open()
    sent = initiator.bytes_to_send().decode()
    assert ROMEO in sent and JULIET in sent and RELAY not in sent


@pytest.mark.clause("LLP-04")
@pytest.mark.parametrize(
    ("sender", "target", "expected"),
    [
        (JULIET, "romeo@other", "host-unknown"),
        (JULIET, RELAY, "host-unknown"),
        (None, ROMEO, "improper-addressing"),
        (CAPULET, ROMEO, "improper-addressing"),
        ("", ROMEO, "improper-addressing"),
    ],
)
def test_a_header_for_or_from_somebody_else(sender: str | None, target: str, expected: str) -> None:
    events, _ = say(recipient(), header(sender, target))
    assert condition(events) == expected


@pytest.mark.clause("LLP-04")
def test_the_name_stays_who_it_was_inside_tls() -> None:
    core, _ = secured(Proves(THEIRS))
    events, _ = say(core, header("mallory@pronto"))
    assert condition(events) == "invalid-from"


def test_an_answer_need_not_say_who_answers() -> None:
    core = LinkInitiator(ours(), ids(), LANE, ROMEO, JULIET, NOW)
    core.open()
    events, _ = say(core, header(None, None))
    assert events == []


# --- stanzas ---


def test_the_pairs_of_the_lane_pass() -> None:
    events, _ = say(opened(), message(f"a@{CAPULET}", f"b@{MONTAGUE}"))
    assert isinstance(events[0], RunReceived)


@pytest.mark.clause("LLP-05")
@pytest.mark.parametrize("target", [f"b@{MONTAGUE}", "a@far.example", RELAY])
def test_a_name_says_nothing_to_anybody_else(target: str) -> None:
    events, answer = say(opened(), message(JULIET, target))
    assert events == []
    assert "<not-allowed" in answer
    assert "to='juliet@pronto'" in answer.replace('"', "'")


@pytest.mark.clause("LLP-04")
@pytest.mark.parametrize("stanza", [message(JULIET, ROMEO), "<message id='1'/>"])
def test_a_name_is_answered_by_a_name(stanza: str) -> None:
    """Also when the stanza leaves both out."""
    events, answer = say(opened(), stanza)
    assert events == []
    assert "<service-unavailable" in answer
    assert "from='romeo@forza' to='juliet@pronto'" in answer.replace('"', "'")


def test_a_stanza_with_a_fault_is_answered_too() -> None:
    events, answer = say(opened(), message(JULIET, "a b@forza"))
    assert events == []
    assert "<jid-malformed" in answer


@pytest.mark.clause("LLP-03")
@pytest.mark.parametrize("target", [ROMEO, f"b@{MONTAGUE}"])
def test_presence_is_no_stanza_here(target: str) -> None:
    assert say(opened(), message(JULIET, target, "presence")) == ([], "")


def test_another_name_on_the_same_machine_is_not_the_peer() -> None:
    events, _ = say(opened(), message("nurse@pronto", ROMEO))
    assert condition(events) == "invalid-from"


def test_the_router_talks_to_names_no_longer_than_is_good() -> None:
    events, _ = say(opened(), message(JULIET, ROMEO) * MAX_ANSWERS)
    assert events == []
    core = opened()
    events, _ = say(core, message(JULIET, ROMEO) * (MAX_ANSWERS + 1))
    assert condition(events) == "policy-violation"


@pytest.mark.clause("LLP-04")
def test_what_comes_before_the_closing_tag_is_still_taken() -> None:
    core = opened()
    core.close(NOW)
    events, _ = say(core, message(f"a@{CAPULET}", f"b@{MONTAGUE}") + "</stream:stream>")
    assert isinstance(events[0], RunReceived)
    assert events[-1] == StreamClosed(None, False)
