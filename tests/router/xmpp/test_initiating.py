"""The initiating server: what it says first, what it asks for, and what it takes for an answer."""

import pytest

from router.xmpp import names
from router.xmpp.certificate import NO_CERTIFICATE
from router.xmpp.errors import MisuseError
from router.xmpp.events import Event, Ignored, PairAuthorised, PairRefused, StartTls, StreamClosed
from router.xmpp.initiating import InitiatingStream, Offers
from router.xmpp.pair import DomainPair
from router.xmpp.policy import PeerRule
from router.xmpp.states import Phase
from tests.support.pump import (
    BIDI,
    CAPULET,
    MONTAGUE,
    NOW,
    PAIR,
    STARTTLS,
    Proves,
    features,
    header,
    ids,
    outbound,
    policy,
    say,
)

THEIRS = PAIR.inverse()
EXTERNAL = f"<mechanisms xmlns='{names.SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
BIDI_FEATURE = f"<bidi xmlns='{names.BIDI_FEATURE}'/>"
DIALBACK = f"<dialback xmlns='{names.DIALBACK_FEATURE}'><errors/></dialback>"
AUTH = f'<auth xmlns="{names.SASL}" mechanism="EXTERNAL">bW9udGFndWUuZXhhbXBsZQ==</auth>'  # us
SUCCESS = f"<success xmlns='{names.SASL}'/>"


def stream(**changes: object) -> InitiatingStream:
    return InitiatingStream(policy(MONTAGUE, **changes), ids(), PAIR, NOW)  # type: ignore[arg-type]


def accepted(*, bidi: bool = True) -> InitiatingStream:
    """Ours, authenticated by EXTERNAL; nothing is due."""
    core = outbound(None, NO_CERTIFICATE, EXTERNAL, *([BIDI_FEATURE] if bidi else []), DIALBACK)
    say(core, SUCCESS)
    say(core, header(stream_id="restarted") + features())
    return core


def condition(events: list[Event]) -> str | None:
    assert isinstance(events[-1], StreamClosed)
    return events[-1].condition


# --- headers ---


@pytest.mark.clause("STR-05", "TLS-06")
def test_the_same_header_each_time_and_never_an_id() -> None:
    core = stream()
    core.open()
    first = core.bytes_to_send()
    say(core, header(stream_id="x") + features())
    say(core, f"<proceed xmlns='{names.TLS}'/>")
    core.tls_established(NO_CERTIFICATE, NOW)
    second = core.bytes_to_send()
    say(core, header(stream_id="y") + features(EXTERNAL))
    third = say(core, SUCCESS)[1].encode()
    assert first == second == third
    assert b" id=" not in first
    assert f'from="{MONTAGUE}" to="{CAPULET}" version="1.0" xml:lang="en">'.encode() in first


@pytest.mark.clause("DTL-01", "DTL-03")
def test_direct_tls_begins_with_tls() -> None:
    core = InitiatingStream(policy(MONTAGUE), ids(), PAIR, NOW, direct_tls=True)
    assert core.open() == [StartTls()]
    assert core.bytes_to_send() == b""
    core.tls_established(NO_CERTIFICATE, NOW)
    core.bytes_to_send()
    answer = say(core, header(stream_id="x") + features(STARTTLS, EXTERNAL))[1]
    assert answer == AUTH


@pytest.mark.clause("STR-05")
@pytest.mark.parametrize(
    ("sender", "target"), [(None, None), (CAPULET, None), ("other.example", "third.example")]
)
def test_the_names_in_the_answer_are_not_needed(sender: str | None, target: str | None) -> None:
    core = stream(tls_required=False)
    core.open()
    core.bytes_to_send()
    _, answer = say(core, header(sender, target, stream_id="x") + features(DIALBACK))
    assert answer.startswith(f'<db:result from="{MONTAGUE}" to="{CAPULET}">')


@pytest.mark.clause("STR-07")
def test_an_answer_in_no_version() -> None:
    core = stream()
    core.open()
    core.bytes_to_send()
    events, answer = say(core, header(version="one", stream_id="x"))
    assert condition(events) == "unsupported-version"
    assert answer.startswith("<stream:error>"), "the header went before"


# --- TLS ---


@pytest.mark.clause("TLS-08", "FEA-02")
@pytest.mark.parametrize(
    ("tls_required", "require_certificate", "offered", "asks"),
    [
        (True, False, True, True),
        (True, False, False, True),
        (False, False, True, True),
        (False, False, False, False),
        (False, True, False, True),
    ],
)
def test_starttls_is_asked_for_when_it_is_needed_or_offered(
    tls_required: bool, require_certificate: bool, offered: bool, asks: bool
) -> None:
    core = stream(tls_required=tls_required, rule=PeerRule(require_certificate=require_certificate))
    core.open()
    core.bytes_to_send()
    offers = [STARTTLS] * offered + [BIDI_FEATURE, EXTERNAL, DIALBACK]
    _, answer = say(core, header(stream_id="x") + features(*offers))
    assert (answer == STARTTLS) == asks


@pytest.mark.clause("TLS-05", "TLS-08")
def test_a_refusal_of_starttls_is_the_end() -> None:
    core = stream()
    core.open()
    say(core, header(stream_id="x") + features(STARTTLS))
    events, answer = say(core, f"<failure xmlns='{names.TLS}'/>")
    assert condition(events) is None
    assert answer == ""


@pytest.mark.clause("TLS-01", "TLS-03")
@pytest.mark.parametrize("before", ["", "<stream:features/>", SUCCESS, BIDI])
def test_proceed_counts_where_we_wait_for_it(before: str) -> None:
    core = stream()
    core.open()
    proceed = f"<proceed xmlns='{names.TLS}'/>"
    assert [type(event) for event in say(core, header(stream_id="x") + proceed)[0]] == [Ignored]
    say(core, features(STARTTLS) + before)
    assert say(core, proceed)[0] == [StartTls()]


@pytest.mark.clause("CRT-01", "TLS-09", "BIDI-13")
def test_a_certificate_that_must_be_good() -> None:
    strict = policy(MONTAGUE, rule=PeerRule(require_certificate=True))
    core = InitiatingStream(strict, ids(), PAIR, NOW, direct_tls=True)
    core.open()
    events = core.tls_established(Proves("target.of.srv.example"), NOW)
    assert condition(events) == "policy-violation"
    good = outbound(strict, Proves(CAPULET), EXTERNAL, BIDI_FEATURE)
    assert good.bytes_to_send().decode() == BIDI + AUTH


# --- bidi ---


@pytest.mark.clause("BIDI-02", "BIDI-03", "BIDI-13")
@pytest.mark.parametrize("offer", [BIDI_FEATURE, BIDI])
@pytest.mark.parametrize(
    ("dialback", "rule", "certificate", "asks"),
    [
        (True, PeerRule(), NO_CERTIFICATE, True),
        (True, PeerRule(bidi=False), NO_CERTIFICATE, False),
        (False, PeerRule(), NO_CERTIFICATE, False),
        (False, PeerRule(), Proves(CAPULET), True),
    ],
)
def test_bidi_is_asked_for_once_before_the_proof(
    offer: str, dialback: bool, rule: PeerRule, certificate: Proves, asks: bool
) -> None:
    core = outbound(policy(MONTAGUE, rule=rule, dialback=dialback), certificate, EXTERNAL, offer)
    assert core.bytes_to_send().decode() == BIDI * asks + AUTH
    say(core, SUCCESS)
    events, answer = say(core, header(stream_id="y") + features(offer, DIALBACK))
    assert answer == ""
    assert PairAuthorised(PAIR, True, "external") in events
    assert (PairAuthorised(THEIRS, False, "external") in events) == asks


@pytest.mark.clause("BIDI-02")
def test_bidi_that_is_not_wanted() -> None:
    core = InitiatingStream(policy(MONTAGUE), ids(), PAIR, NOW, direct_tls=True, wants_bidi=False)
    core.open()
    core.tls_established(NO_CERTIFICATE, NOW)
    core.bytes_to_send()
    assert say(core, header(stream_id="x") + features(EXTERNAL, BIDI_FEATURE))[1] == AUTH


@pytest.mark.clause("BIDI-11", "RTE-02", "RTE-03", "RTE-04")
@pytest.mark.parametrize(
    ("sender", "target", "expected"),
    [
        ("padua.example", MONTAGUE, "invalid-from"),
        (CAPULET, "verona.example", "host-unknown"),
        (MONTAGUE, CAPULET, "host-unknown"),
        (MONTAGUE, MONTAGUE, "invalid-from"),
    ],
)
def test_on_our_stream_the_inverse_pair_may_come_and_no_other(
    sender: str, target: str, expected: str
) -> None:
    events, _ = say(accepted(), f"<message from='{sender}' to='{target}'/>")
    assert len(events) == 1
    assert condition(events) == expected


@pytest.mark.clause("BIDI-12")
def test_without_bidi_nothing_may_come() -> None:
    events, _ = say(accepted(bidi=False), f"<message from='{CAPULET}' to='{MONTAGUE}'/>")
    assert condition(events) == "not-authorized"
    events, _ = say(accepted(bidi=False), "<message/>")
    assert condition(events) == "not-authorized"


@pytest.mark.clause("BIDI-14", "BIDI-15", "BIDI-18")
@pytest.mark.parametrize("moment", ["before features", "during SASL", "key sent"])
def test_the_peer_may_prove_no_domain_to_us_before_we_are_authenticated(moment: str) -> None:
    if moment == "before features":
        core = stream()
        core.open()
        say(core, header(stream_id="x"))
    else:
        offered = [BIDI_FEATURE, *([EXTERNAL] if moment == "during SASL" else []), DIALBACK]
        core = outbound(None, Proves("padua.example"), *offered)
    core.bytes_to_send()
    events, answer = say(core, f"<db:result from='padua.example' to='{MONTAGUE}'>k</db:result>")
    assert [event for event in events if not isinstance(event, Ignored)] == []
    assert 'type="valid"' not in answer
    assert not core.grants.proved()


# --- proofs ---


@pytest.mark.clause("SAS-02", "SAS-09")
@pytest.mark.parametrize(
    ("has_certificate", "offered", "begins"),
    [
        (True, [EXTERNAL, DIALBACK], "<auth "),
        (False, [EXTERNAL, DIALBACK], "<db:result "),
        (True, [DIALBACK], "<db:result "),
        (True, [], "<db:result "),  # the header declares dialback
        (True, [EXTERNAL.replace("EXTERNAL", "PLAIN"), DIALBACK], "<db:result "),
    ],
)
def test_how_we_prove_ourselves(has_certificate: bool, offered: list[str], begins: str) -> None:
    core = outbound(None, NO_CERTIFICATE, *offered, has_certificate=has_certificate)
    assert core.bytes_to_send().decode().startswith(begins)


@pytest.mark.clause("SAS-09", "DBK-07")
@pytest.mark.parametrize("failed", ["no offer", "no certificate", "refused"])
def test_without_dialback_there_is_nothing_after_external(failed: str) -> None:
    offered = [] if failed == "no offer" else [EXTERNAL]
    core = outbound(
        policy(MONTAGUE, dialback=False),
        NO_CERTIFICATE,
        *offered,
        has_certificate=failed != "no certificate",
    )
    if failed == "refused":
        core.bytes_to_send()
        events, answer = say(core, f"<failure xmlns='{names.SASL}'><not-authorized/></failure>")
        assert isinstance(events[-1], PairRefused)
        assert answer == "</stream:stream>"
    assert core.phase is Phase.CLOSING
    assert not core.may_send(PAIR)


@pytest.mark.clause("DBK-01", "DBK-05")
def test_a_peer_that_knows_no_dialback_gets_no_key() -> None:
    core = stream(tls_required=False)
    core.open()
    core.bytes_to_send()
    unknown = header(stream_id="x").replace(f" xmlns:db='{names.DIALBACK}'", "")
    events, answer = say(core, unknown + features())
    assert isinstance(events[0], PairRefused)
    assert answer == "</stream:stream>"


@pytest.mark.clause("SAS-07")
@pytest.mark.parametrize("element", [SUCCESS, f"<failure xmlns='{names.SASL}'/>"])
def test_sasl_elements_out_of_place_mean_nothing(element: str) -> None:
    core = outbound(None, NO_CERTIFICATE, DIALBACK)
    core.bytes_to_send()
    events, answer = say(core, element)
    assert [type(event) for event in events] == [Ignored]
    assert answer == ""
    assert not core.grants.proved()


@pytest.mark.clause("FEA-01", "FEA-05")
def test_features_count_once() -> None:
    core = outbound(None, NO_CERTIFICATE, BIDI_FEATURE, EXTERNAL)
    core.bytes_to_send()
    events, answer = say(core, features(BIDI_FEATURE, EXTERNAL))
    assert [type(event) for event in events] == [Ignored]
    assert answer == ""


# --- questions about keys ---


@pytest.mark.clause("DBK-09", "DBK-11")
def test_a_question_waits_for_its_turn_and_not_for_our_own_proof() -> None:
    core = stream()
    core.open()
    core.verify(THEIRS, "ours", "k", NOW)
    say(core, header(stream_id="x") + features(STARTTLS))
    say(core, f"<proceed xmlns='{names.TLS}'/>")
    core.tls_established(NO_CERTIFICATE, NOW)
    core.bytes_to_send()
    assert say(core, header(stream_id="y"))[1] == ""
    _, answer = say(core, features(EXTERNAL, DIALBACK))
    assert answer == AUTH, "nothing may come between the elements of SASL"
    core.verify(THEIRS, "later", "k", NOW)
    assert core.bytes_to_send() == b""
    _, answer = say(core, f"<failure xmlns='{names.SASL}'><not-authorized/></failure>")
    asked = f'<db:verify from="{MONTAGUE}" to="{CAPULET}" id='
    assert answer.endswith(f'{asked}"ours">k</db:verify>{asked}"later">k</db:verify>')
    assert answer.startswith("<db:result ")


@pytest.mark.clause("DBK-11")
def test_a_question_on_an_open_stream_goes_at_once() -> None:
    core = accepted()
    core.verify(DomainPair(CAPULET, "verona.example"), "ours", "k", NOW)
    assert core.bytes_to_send().startswith(b'<db:verify from="verona.example"')


@pytest.mark.clause("DBK-09")
def test_only_the_remote_domain_is_asked_about_its_keys() -> None:
    core = accepted()
    with pytest.raises(MisuseError):
        core.verify(DomainPair("padua.example", MONTAGUE), "ours", "k", NOW)


@pytest.mark.clause("TLS-06")
def test_offers_made_in_plaintext_are_forgotten() -> None:
    core = stream()
    core.open()
    say(core, header(stream_id="x") + features(STARTTLS, EXTERNAL, BIDI_FEATURE, DIALBACK))
    assert core.offers.errors
    say(core, f"<proceed xmlns='{names.TLS}'/>")
    core.tls_established(NO_CERTIFICATE, NOW)
    assert core.offers == Offers()
