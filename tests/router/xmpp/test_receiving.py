"""The receiving server: what it answers to headers, requests and attempts, one at a time."""

import itertools

import pytest

from router.xmpp import names
from router.xmpp.certificate import NO_CERTIFICATE, Evidence, Verdict
from router.xmpp.errors import MisuseError
from router.xmpp.events import Event, PairAuthorised, RunReceived, StanzaRefused, StreamClosed
from router.xmpp.pair import DomainPair
from router.xmpp.policy import PeerRule
from router.xmpp.receiving import ReceivingStream
from router.xmpp.states import Phase
from tests.support.pump import (
    AUTH,
    BIDI,
    CAPULET,
    MONTAGUE,
    NOW,
    PAIR,
    STARTTLS,
    Proves,
    authenticated,
    header,
    ids,
    inbound,
    policy,
    say,
)

THEIRS = PAIR.inverse()
STANZA = f"<message from='a@{CAPULET}' to='{MONTAGUE}'/>"


def plain(**changes: object) -> ReceivingStream:
    hosted = changes.pop("hosted", (MONTAGUE, "verona.example"))
    assert isinstance(hosted, tuple)
    return ReceivingStream(policy(*hosted, **changes), ids(), NOW)  # type: ignore[arg-type]


def secure(sees: Evidence = NO_CERTIFICATE) -> ReceivingStream:
    core = ReceivingStream(policy(MONTAGUE), ids(), NOW, direct_tls=True)
    core.tls_established(sees, NOW)
    return core


def condition(events: list[Event]) -> str | None:
    assert isinstance(events[-1], StreamClosed)
    return events[-1].condition


def failure(answer: str) -> str:
    begin = f"<failure xmlns='{names.SASL}'><"
    assert answer.startswith(begin), answer
    return answer.removeprefix(begin).partition("/")[0]


def auth(data: str | None, mechanism: str | None = "EXTERNAL") -> str:
    given = "" if mechanism is None else f" mechanism='{mechanism}'"
    return f"<auth xmlns='{names.SASL}'{given}>{data or ''}</auth>"


# --- headers ---


@pytest.mark.clause("STR-02", "STR-09")
@pytest.mark.parametrize("target", ["nope.example", "sub.montague.example", None])
def test_a_domain_that_is_not_hosted(target: str | None) -> None:
    core = plain()
    events, answer = say(core, header(target=target))
    assert condition(events) == "host-unknown"
    assert f'from="{MONTAGUE}"' in answer
    assert "<host-unknown " in answer
    assert "features" not in answer


@pytest.mark.clause("STR-03")
def test_without_to_the_server_name_of_tls_stands_in() -> None:
    core = secure()
    core.server_name = MONTAGUE
    events, answer = say(core, header(target=None))
    assert events == []
    assert f'from="{MONTAGUE}"' in answer
    assert core.local == MONTAGUE


@pytest.mark.clause("STR-03")
@pytest.mark.parametrize("server_name", ["", "nope.example"])
def test_without_to_and_a_server_name_that_is_hosted(server_name: str) -> None:
    core = secure()
    core.server_name = server_name
    assert condition(say(core, header(target=None))[0]) == "host-unknown"


@pytest.mark.clause("STR-04")
@pytest.mark.parametrize("sender", ["a@capulet.example", "capulet.example/x", "a b", "-.example"])
def test_a_from_that_is_no_domain(sender: str) -> None:
    assert condition(say(plain(), header(sender))[0]) == "improper-addressing"


@pytest.mark.clause("STR-04")
@pytest.mark.parametrize("sender", [MONTAGUE, "verona.example", "VERONA.example."])
def test_a_from_that_is_hosted_here(sender: str) -> None:
    assert condition(say(plain(), header(sender))[0]) == "improper-addressing"


@pytest.mark.clause("DBK-07")
def test_a_domain_that_is_denied() -> None:
    core = plain(rule=PeerRule(deny=True))
    events, answer = say(core, header())
    assert condition(events) == "policy-violation"
    assert "features" not in answer


@pytest.mark.clause("STR-07", "STR-08")
@pytest.mark.parametrize("version", ["1.0", "1.10", "01.0", "2.0", "1.00"])
def test_versions_that_are_answered_with_one(version: str) -> None:
    _, answer = say(plain(), header(version=version))
    assert 'version="1.0"' in answer
    assert "<stream:features>" in answer


@pytest.mark.clause("STR-08")
@pytest.mark.parametrize("version", [None, "0.9"])
def test_versions_before_one(version: str | None) -> None:
    core = plain(tls_required=False)
    events, answer = say(core, header(version=version))
    assert events == []
    assert 'version="' not in answer
    assert "features" not in answer
    assert condition(say(core, STARTTLS)[0]) is None, "it was not on offer"
    assert core.phase is Phase.CLOSED


@pytest.mark.clause("STR-07")
@pytest.mark.parametrize("version", ["", "1", "1.", ".0", "one", "1.0.0", "-1.0", "².0"])
def test_versions_that_are_not_two_numbers(version: str) -> None:
    assert condition(say(plain(), header(version=version))[0]) == "unsupported-version"


@pytest.mark.clause("STR-06")
def test_each_header_has_an_id_of_its_own_and_the_peers_is_nothing() -> None:
    core = plain()
    say(core, header(stream_id="mine") + STARTTLS)
    seen = [core.stream_id]
    core.tls_established(Proves(CAPULET), NOW)
    for text in (header(stream_id="mine") + AUTH, header(stream_id="mine")):
        say(core, text)
        seen.append(core.stream_id)
    assert seen == ["id1", "id2", "id3"]


@pytest.mark.clause("STR-14")
@pytest.mark.parametrize(
    ("sender", "target", "expected"),
    [
        ("padua.example", MONTAGUE, "invalid-from"),
        (None, MONTAGUE, "invalid-from"),
        (CAPULET, "verona.example", "improper-addressing"),
    ],
)
def test_names_may_not_change_after_sasl(sender: str | None, target: str, expected: str) -> None:
    settings = policy(MONTAGUE, "verona.example")
    core = inbound(settings, Proves(CAPULET, "padua.example"), bidi=True)
    say(core, AUTH)
    events, answer = say(core, header(sender, target))
    assert condition(events) == expected
    assert not any(isinstance(event, PairAuthorised) for event in events)
    assert not core.grants.proved()
    assert answer.startswith("<?xml")


@pytest.mark.clause("STR-14")
def test_the_same_names_written_in_another_way_are_the_same() -> None:
    core = inbound(None, Proves(CAPULET))
    say(core, AUTH)
    events, _ = say(core, header("CAPULET.example.", "Montague.Example"))
    assert events == [PairAuthorised(THEIRS, False, "external")]


# --- features ---


@pytest.mark.clause("FEA-02", "FEA-03", "FEA-04", "SAS-01", "BIDI-01", "DBK-01")
@pytest.mark.parametrize(
    ("tls_required", "dialback", "bidi"), [*itertools.product([True, False], repeat=3)]
)
def test_what_is_on_offer_at_each_stage(tls_required: bool, dialback: bool, bidi: bool) -> None:
    core = plain(rule=PeerRule(bidi=bidi), tls_required=tls_required, dialback=dialback)

    def offered(text: str) -> list[str]:
        answer = say(core, text)[1].partition("<stream:features>")[2]
        known = {
            "external": "<mechanism>EXTERNAL</mechanism>",
            "bidi": f"<bidi xmlns='{names.BIDI_FEATURE}'/>",
            "dialback": f"<dialback xmlns='{names.DIALBACK_FEATURE}'><errors/></dialback>",
            "required": "<required/>",
            "starttls": "<starttls ",
        }
        return [name for name, octets in known.items() if octets in answer]

    more = ["bidi"] * bidi + ["dialback"] * dialback
    plaintext = ["required", "starttls"] if tls_required else [*more, "starttls"]
    assert offered(header()) == plaintext
    say(core, STARTTLS)
    core.tls_established(Proves(CAPULET), NOW)
    assert offered(header()) == ["external", *more]
    say(core, AUTH)
    assert offered(header()) == ["dialback"] * dialback


class Is:
    """A certificate with this verdict for every domain."""

    def __init__(self, *, trusted: bool, covers: bool) -> None:
        self.verdict = Verdict(trusted, covers, "")

    def proves(self, domain: str) -> Verdict:
        return self.verdict


@pytest.mark.clause("SAS-01", "CRT-01", "SAS-06")
@pytest.mark.parametrize(("trusted", "covers"), [*itertools.product([True, False], repeat=2)])
def test_external_is_on_offer_for_a_certificate_that_proves_the_from(
    trusted: bool, covers: bool
) -> None:
    core = secure(Is(trusted=trusted, covers=covers))
    _, answer = say(core, header())
    assert ("EXTERNAL" in answer) == (trusted and covers)
    _, answer = say(core, AUTH)
    assert (answer == f"<success xmlns='{names.SASL}'/>") == (trusted and covers)
    if not (trusted and covers):
        assert failure(answer) == "invalid-mechanism"


@pytest.mark.clause("TLS-06", "SAS-01", "CRT-01")
def test_the_from_inside_tls_is_the_one_that_counts() -> None:
    core = plain()
    say(core, header("padua.example", "verona.example") + STARTTLS)
    core.tls_established(Proves("padua.example"), NOW)
    _, answer = say(core, header())
    assert "EXTERNAL" not in answer
    assert f'from="{MONTAGUE}"' in answer


@pytest.mark.clause("TLS-09")
@pytest.mark.parametrize("dialback", [True, False])
@pytest.mark.parametrize("require", [True, False])
@pytest.mark.parametrize("sender", [CAPULET, None])
def test_where_only_a_certificate_proves_there_must_be_one(
    dialback: bool, require: bool, sender: str | None
) -> None:
    settings = policy(MONTAGUE, rule=PeerRule(require_certificate=require), dialback=dialback)
    needed = require or not dialback
    assert (inbound(settings, sender=sender).phase is Phase.CLOSED) == needed
    good = inbound(settings, Proves(CAPULET), sender=sender)
    assert (good.phase is Phase.CLOSED) == (needed and sender is None)


# --- STARTTLS ---


@pytest.mark.clause("TLS-04")
@pytest.mark.parametrize(
    "starttls",
    [
        f"<starttls xmlns='{names.TLS}'>please</starttls>",
        f"<starttls xmlns='{names.TLS}'><required/></starttls>",
    ],
)
def test_a_malformed_starttls_is_refused(starttls: str) -> None:
    core = plain()
    say(core, header())
    events, answer = say(core, starttls)
    assert condition(events) is None
    assert answer == f"<failure xmlns='{names.TLS}'/></stream:stream>"


@pytest.mark.clause("TLS-01")
def test_proceed_byte_for_byte() -> None:
    core = plain()
    say(core, header())
    _, answer = say(core, STARTTLS)
    assert answer == "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


# --- SASL ---


@pytest.mark.clause("SAS-03", "SAS-05", "SAS-06")
@pytest.mark.parametrize(
    ("data", "mechanism", "expected"),
    [
        ("YS5leGFtcGxl", "EXTERNAL", "invalid-authzid"),
        ("=AAA", "EXTERNAL", "incorrect-encoding"),
        ("BBBB=CCC", "EXTERNAL", "incorrect-encoding"),
        ("=", "PLAIN", "invalid-mechanism"),
        ("=", None, "invalid-mechanism"),
        ("=", "external", "invalid-mechanism"),
    ],
)
def test_failures_that_leave_the_stream_alone(
    data: str, mechanism: str | None, expected: str
) -> None:
    core = inbound(None, Proves(CAPULET))
    assert failure(say(core, auth(data, mechanism))[1]) == expected
    assert core.phase is Phase.SECURE
    assert say(core, AUTH)[1] == f"<success xmlns='{names.SASL}'/>"


@pytest.mark.clause("SAS-10")
def test_the_sixth_attempt_is_one_too_many() -> None:
    core = inbound(None, Proves(CAPULET))
    for _ in range(5):
        assert failure(say(core, auth("=AAA"))[1]) == "incorrect-encoding"
    events, answer = say(core, AUTH)
    assert condition(events) == "policy-violation"
    assert "success" not in answer


@pytest.mark.clause("SAS-10")
def test_abort() -> None:
    core = inbound(None, Proves(CAPULET))
    assert say(core, auth(None))[1] == f"<challenge xmlns='{names.SASL}'/>"
    assert failure(say(core, f"<abort xmlns='{names.SASL}'/>")[1]) == "aborted"
    assert failure(say(core, f"<response xmlns='{names.SASL}'>=</response>")[1]) == "not-authorized"
    assert failure(say(core, f"<abort xmlns='{names.SASL}'/>")[1]) == "not-authorized"


@pytest.mark.clause("SAS-04")
@pytest.mark.parametrize(
    ("data", "expected"),
    [("", None), ("=", None), ("YS5leGFtcGxl", "invalid-authzid"), ("=A", "incorrect-encoding")],
)
def test_the_answer_to_a_challenge(data: str, expected: str | None) -> None:
    core = inbound(None, Proves(CAPULET))
    say(core, auth(None))
    _, answer = say(core, f"<response xmlns='{names.SASL}'>{data}</response>")
    if expected is None:
        assert answer == f"<success xmlns='{names.SASL}'/>"
    else:
        assert failure(answer) == expected


def test_a_second_auth_during_a_challenge_changes_nothing() -> None:
    core = inbound(None, Proves(CAPULET))
    say(core, auth(None))
    assert failure(say(core, AUTH)[1]) == "not-authorized"
    assert core.phase is Phase.SASL


@pytest.mark.clause("STR-13", "TLS-02")
def test_what_comes_behind_auth_in_the_same_octets_is_dropped() -> None:
    core = inbound(None, Proves(CAPULET))
    events, answer = say(core, AUTH + STANZA)
    assert events == []
    assert answer == f"<success xmlns='{names.SASL}'/>"
    assert say(core, header())[0] == [PairAuthorised(THEIRS, False, "external")]


# --- stanzas ---


@pytest.mark.clause("RTE-02", "RTE-03", "RTE-04", "SAS-07")
@pytest.mark.parametrize(
    ("sender", "target", "expected"),
    [
        (CAPULET, "verona.example", "host-unknown"),
        (CAPULET, "remote.example", "host-unknown"),
        (CAPULET, CAPULET, "host-unknown"),
        ("padua.example", MONTAGUE, "invalid-from"),
        (f"sub.{CAPULET}", MONTAGUE, "invalid-from"),
        (MONTAGUE, MONTAGUE, "invalid-from"),
        (MONTAGUE, CAPULET, "host-unknown"),
    ],
)
def test_stanzas_of_pairs_that_were_not_proved(sender: str, target: str, expected: str) -> None:
    core = authenticated(policy(MONTAGUE, "verona.example"), bidi=True)
    assert isinstance(say(core, STANZA)[0][0], RunReceived)
    events, _ = say(core, f"<message from='a@{sender}' to='b@{target}'/>")
    assert len(events) == 1
    assert condition(events) == expected


@pytest.mark.clause("RTE-03", "RTE-09")
def test_a_stanza_that_is_to_be_refused_needs_a_proved_pair_too() -> None:
    core = authenticated()
    events, _ = say(core, f"<iq from='{CAPULET}' to='{MONTAGUE}'/>")
    assert isinstance(events[0], StanzaRefused)
    events, _ = say(core, f"<iq from='padua.example' to='{MONTAGUE}'/>")
    assert condition(events) == "invalid-from"


@pytest.mark.clause("STR-18")
def test_unknown_elements() -> None:
    core = authenticated()
    events, answer = say(core, "<foo xmlns='urn:example' to='x'/><stream:features/>" + STANZA)
    assert [type(event).__name__ for event in events] == ["Ignored", "Ignored", "RunReceived"]
    assert answer == ""
    assert condition(say(core, "<foo/>")[0]) == "unsupported-stanza-type"


# --- bidi ---


@pytest.mark.clause("BIDI-06", "BIDI-08", "BIDI-09")
def test_bidi_opens_the_inverse_pair_when_the_restart_is_done() -> None:
    core = inbound(policy(MONTAGUE, "verona.example"), Proves(CAPULET), bidi=True)
    say(core, AUTH)
    assert not core.may_send(PAIR)
    with pytest.raises(MisuseError):
        core.send_run(PAIR, b"<message/>", 1)
    events, _ = say(core, header())
    assert events == [
        PairAuthorised(THEIRS, False, "external"),
        PairAuthorised(PAIR, True, "external"),
    ]
    assert set(core.grants.send) == {PAIR}
    with pytest.raises(MisuseError):
        core.send_run(DomainPair("verona.example", CAPULET), b"<message/>", 1)


@pytest.mark.clause("BIDI-07")
def test_bidi_after_a_failed_auth_is_late() -> None:
    core = inbound(None, Proves(CAPULET))
    say(core, auth("=AAA") + BIDI)
    say(core, AUTH)
    say(core, header())
    assert set(core.grants.receive) == {THEIRS}
    assert core.grants.send == {}


@pytest.mark.clause("BIDI-05", "BIDI-07")
def test_an_offer_made_in_plaintext_does_not_stand_inside_tls() -> None:
    core = plain(tls_required=False)
    say(core, header() + STARTTLS)
    core.tls_established(Proves(CAPULET), NOW)
    say(core, header(version=None) + BIDI)
    assert not core.is_bidi
