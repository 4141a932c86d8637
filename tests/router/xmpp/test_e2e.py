"""End-to-end streams (XEP-0246): two of them joined in memory, and what a peer may say on one.

Whole conversations are in tests/transcripts/e2e_*.txt.
"""

import pytest

from router.xmpp import names
from router.xmpp.certificate import NO_CERTIFICATE, Evidence
from router.xmpp.component import ComponentStream
from router.xmpp.e2e import EndToEndStream, InitiatorStream, RecipientStream
from router.xmpp.e2e_ends import Ends
from router.xmpp.errors import MisuseError
from router.xmpp.events import (
    Event,
    PairAuthorised,
    RunReceived,
    StanzaRefused,
    StartTls,
    StreamClosed,
    StreamReady,
)
from router.xmpp.pair import DomainPair
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.states import Phase
from tests.support.pump import NOW, STARTTLS, Proves, features, ids, policy, pump, say
from tests.support.pump import header as any_header

RELAY, MONTAGUE = "relay.montague.example", "montague.example"
THEIRS, CAPULET = "relay.capulet.example", "capulet.example"
JULIET = f"juliet@{CAPULET}/balcony"
PAIR = DomainPair(MONTAGUE, CAPULET)
LANE = Ends(RELAY, THEIRS, frozenset({PAIR}))
USER = Ends(RELAY, JULIET)
OUTER = DomainPair(RELAY, THEIRS)


def header(sender: str | None = JULIET, target: str | None = RELAY, **more: str | None) -> str:
    return any_header(sender, target, **{"content": names.CLIENT, **more})  # type: ignore[arg-type]


def ours(**changes: object) -> Policy:
    return policy(RELAY, MONTAGUE, **changes)  # type: ignore[arg-type]


def recipient(
    ends: Ends = USER, sees: Evidence = NO_CERTIFICATE, settings: Policy | None = None
) -> RecipientStream:
    """Inside TLS, where the peer has said nothing yet."""
    core = RecipientStream(settings or ours(), ids(), ends, NOW, direct_tls=True)
    core.tls_established(sees, NOW)
    return core


def opened(ends: Ends = USER) -> RecipientStream:
    core = recipient(ends)
    say(core, header(ends.peer))
    assert core.phase is Phase.OPEN
    return core


def lane(
    *, direct_tls: bool = False, require: bool = False, tls_required: bool = True
) -> tuple[InitiatorStream, RecipientStream]:
    """Both ends of an express lane, before anything was said."""
    rule = PeerRule(require_certificate=require)
    here = policy(RELAY, MONTAGUE, rule=rule, tls_required=tls_required)
    there = policy(THEIRS, CAPULET, rule=rule, tls_required=tls_required)
    inverse = Ends(THEIRS, RELAY, frozenset({PAIR.inverse()}))
    a = InitiatorStream(here, ids("a"), LANE, NOW, direct_tls=direct_tls)
    b = RecipientStream(there, ids("b"), inverse, NOW, direct_tls=direct_tls)
    return a, b


def message(sender: str, target: str, body: str = "") -> bytes:
    return f"<message from='{sender}' to='{target}'><body>{body}</body></message>".encode()


def condition(events: list[Event]) -> str | None:
    assert isinstance(events[-1], StreamClosed), events
    return events[-1].condition


def runs(events: list[Event]) -> bytes:
    return b"".join(event.octets for event in events if isinstance(event, RunReceived))


# --- two ends ---


@pytest.mark.clause("E2E-01", "E2E-02", "E2E-03", "E2E-05")
@pytest.mark.parametrize("tls_required", [True, False])
def test_an_express_lane_from_the_first_octet_to_the_last(tls_required: bool) -> None:
    a, b = lane(tls_required=tls_required)
    a.open()
    seen_a, seen_b = pump(a, b, a_sees=Proves(THEIRS), b_sees=NO_CERTIFICATE)
    there, back = PAIR, PAIR.inverse()
    assert seen_a == [
        StreamReady(THEIRS, True, True),
        PairAuthorised(there, True, "e2e"),
        PairAuthorised(back, False, "e2e"),
    ]
    assert seen_b == [
        StreamReady(RELAY, True, False),
        PairAuthorised(back, True, "e2e"),
        PairAuthorised(there, False, "e2e"),
    ]
    a.send_run(there, message(f"a@{MONTAGUE}", f"b@{CAPULET}") * 2, 2)
    b.send_run(back, message(f"b@{CAPULET}", f"a@{MONTAGUE}"), 1)
    seen_a, seen_b = pump(a, b)
    assert runs(seen_a) == message(f"b@{CAPULET}", f"a@{MONTAGUE}")
    assert runs(seen_b) == message(f"a@{MONTAGUE}", f"b@{CAPULET}") * 2
    a.close(NOW)
    assert not a.may_send(there)
    seen_a, seen_b = pump(a, b)
    assert seen_a == [StreamClosed(None, False)]
    assert seen_b == [StreamClosed(None, True)]


@pytest.mark.clause("XTL-02", "E2E-02")
def test_tls_may_be_the_first_thing_on_the_transport() -> None:
    a, b = lane(direct_tls=True)
    assert a.open() == [StartTls()]
    assert (a.bytes_to_send(), b.bytes_to_send()) == (b"", b"")
    b.tls_established(NO_CERTIFICATE, NOW)
    a.tls_established(NO_CERTIFICATE, NOW)
    b.receive_bytes(a.bytes_to_send(), NOW)
    assert STARTTLS not in b.bytes_to_send().decode()
    assert b.phase is Phase.OPEN


@pytest.mark.clause("E2E-03")
@pytest.mark.parametrize("proved", [True, False])
@pytest.mark.parametrize("by_recipient", [True, False])
def test_where_a_certificate_is_wanted_it_is_judged(proved: bool, by_recipient: bool) -> None:
    a, b = lane(require=True)
    a.open()
    to_a = Proves(THEIRS if proved or by_recipient else CAPULET)
    to_b = Proves(RELAY if proved or not by_recipient else MONTAGUE)
    seen_a, seen_b = pump(a, b, a_sees=to_a, b_sees=to_b)
    if proved:
        assert a.phase is b.phase is Phase.OPEN
    else:
        assert condition(seen_a) == condition(seen_b) == "policy-violation"
        judge = seen_b if by_recipient else seen_a
        assert not any(isinstance(event, StreamReady) for event in judge)


@pytest.mark.clause("E2E-03")
def test_a_users_certificate_names_the_account() -> None:
    strict = ours(rule=PeerRule(require_certificate=True))
    good = recipient(sees=Proves(f"juliet@{CAPULET}"), settings=strict)
    assert isinstance(say(good, header())[0][0], StreamReady)
    assert recipient(sees=Proves(CAPULET), settings=strict).phase is Phase.CLOSED


# --- the header ---


@pytest.mark.clause("E2E-01", "STR-10")
def test_another_content_namespace() -> None:
    events, answer = say(recipient(), header(content=names.SERVER))
    assert condition(events) == "invalid-namespace"
    assert "xmlns='jabber:client'" in answer


@pytest.mark.clause("E2E-01", "JXS-07")
@pytest.mark.parametrize(
    ("sender", "target", "expected"),
    [
        (JULIET, RELAY, None),
        (f"juliet@{CAPULET}", f"{RELAY}", None),
        (None, None, None),
        (f"juliet@{CAPULET}/other", RELAY, "invalid-from"),
        (CAPULET, RELAY, "invalid-from"),
        ("", RELAY, "invalid-from"),
        (JULIET, MONTAGUE, "host-unknown"),
        (JULIET, f"x@{RELAY}", "host-unknown"),
    ],
)
@pytest.mark.parametrize("initiating", [True, False])
def test_the_addresses_that_were_agreed_on(
    sender: str | None, target: str | None, expected: str | None, initiating: bool
) -> None:
    core: EndToEndStream = recipient()
    if initiating:
        core = InitiatorStream(ours(), ids(), USER, NOW)
        core.open()
    events, _ = say(core, header(sender, target))
    assert (condition(events) if core.phase is Phase.CLOSED else None) == expected


@pytest.mark.clause("E2E-02", "STR-08", "STR-09")
@pytest.mark.parametrize("tls_required", [True, False])
@pytest.mark.parametrize("initiating", [True, False])
def test_a_peer_that_speaks_no_version_gets_no_features(
    tls_required: bool, initiating: bool
) -> None:
    settings = ours(tls_required=tls_required)
    kind = InitiatorStream if initiating else RecipientStream
    core = kind(settings, ids(), USER, NOW)
    if isinstance(core, InitiatorStream):
        core.open()
    events, answer = say(core, header(version=None))
    assert "features" not in answer
    if tls_required:
        assert condition(events) == "policy-violation"
    else:
        assert events == [StreamReady(JULIET, False, False)]


# --- TLS ---


@pytest.mark.clause("E2E-03", "TLS-08")
def test_tls_is_asked_for_though_nobody_offers_it() -> None:
    core = InitiatorStream(ours(), ids(), USER, NOW)
    core.open()
    core.bytes_to_send()
    assert say(core, header() + features())[1] == STARTTLS
    events, _ = say(core, f"<failure xmlns='{names.TLS}'/></stream:stream>")
    assert [type(event) for event in events] == [StreamClosed]


@pytest.mark.clause("E2E-03")
def test_plaintext_where_it_was_configured_and_nothing_else_is_offered() -> None:
    core = InitiatorStream(ours(tls_required=False), ids(), USER, NOW)
    core.open()
    events, _ = say(core, header() + features())
    assert events == [StreamReady(JULIET, False, False)]


@pytest.mark.clause("E2E-03", "STR-17")
@pytest.mark.parametrize("stanza", ["<message/>", f"<message from='{JULIET}' to='{RELAY}'/>"])
def test_no_stanza_before_tls(stanza: str) -> None:
    core = RecipientStream(ours(), ids(), USER, NOW)
    events, _ = say(core, header() + stanza)
    assert condition(events) == "not-authorized"


@pytest.mark.clause("E2E-03")
def test_who_must_show_a_certificate_must_have_tls() -> None:
    settings = ours(tls_required=False, rule=PeerRule(require_certificate=True))
    core = InitiatorStream(settings, ids(), USER, NOW)
    core.open()
    core.bytes_to_send()
    assert say(core, header() + features())[1] == STARTTLS
    events, _ = say(RecipientStream(settings, ids(), USER, NOW), header() + "<message/>")
    assert condition(events) == "not-authorized"


@pytest.mark.clause("E2E-03")
def test_a_peer_is_not_held_to_the_limits_of_strangers_in_plaintext_either() -> None:
    core = RecipientStream(ours(tls_required=False), ids(), USER, NOW)
    body = "x" * 2 * core.policy.before_proof.max_stanza_bytes
    events, _ = say(core, header() + f"<message><body>{body}</body></message>")
    assert len(runs(events)) > len(body)


@pytest.mark.clause("TLS-02", "E2E-03")
def test_what_follows_starttls_in_plaintext_is_never_heard() -> None:
    core = RecipientStream(ours(tls_required=False), ids(), USER, NOW)
    events, _ = say(core, header() + STARTTLS + "<message/>")
    assert [type(event) for event in events] == [StreamClosed]


@pytest.mark.clause("FEA-05")
def test_a_required_feature_that_we_do_not_know() -> None:
    core = InitiatorStream(ours(tls_required=False), ids(), USER, NOW)
    core.open()
    events, _ = say(core, header() + features("<x xmlns='urn:x'><required/></x>"))
    assert condition(events) == "unsupported-feature"


@pytest.mark.clause("ERR-07")
def test_time_runs_out_unless_the_choice_is_the_peers() -> None:
    core = RecipientStream(ours(), ids(), USER, NOW)
    say(core, header())
    assert condition(core.deadline_passed(NOW + 60)) == "policy-violation"
    waiting = RecipientStream(ours(tls_required=False), ids(), USER, NOW)
    say(waiting, header())
    assert waiting.deadline() is None
    say(waiting, STARTTLS, NOW + 500)
    assert waiting.deadline() == NOW + 560


# --- whose stanzas ---


@pytest.mark.clause("E2E-04")
def test_stanzas_without_addresses_are_between_the_two_ends() -> None:
    core = opened()
    events, _ = say(core, f"<message><body>x</body></message><presence from='{JULIET}'/>")
    assert runs(events).decode() == (
        f'<message from="{JULIET}" to="{RELAY}"><body>x</body></message>'
        f"<presence to=\"{RELAY}\" from='{JULIET}'/>"
    )


@pytest.mark.clause("E2E-04")
@pytest.mark.parametrize(
    ("sender", "target", "expected"),
    [
        (JULIET, f"romeo@{MONTAGUE}/x", None),
        (f"juliet@{CAPULET}", f"romeo@{MONTAGUE}", "invalid-from"),
        (f"nurse@{CAPULET}/balcony", f"romeo@{MONTAGUE}", "invalid-from"),
        (CAPULET, MONTAGUE, "invalid-from"),
        ("evil.example", MONTAGUE, "invalid-from"),
        (MONTAGUE, MONTAGUE, "invalid-from"),
        (JULIET, CAPULET, "host-unknown"),
        (JULIET, "evil.example", "host-unknown"),
        ("", MONTAGUE, "improper-addressing"),
        (JULIET, "", "improper-addressing"),
    ],
)
def test_a_session_speaks_for_its_own_address(
    sender: str, target: str, expected: str | None
) -> None:
    core = opened()
    good = message(JULIET, MONTAGUE)
    events = core.receive_bytes(good + message(sender, target), NOW)
    if expected is None:
        assert runs(events) == good + message(sender, target)
    else:
        assert runs(events) == good, "what stood before is passed on"
        assert condition(events) == expected


@pytest.mark.clause("E2E-04")
def test_a_stanza_to_be_answered_is_from_the_peer_too() -> None:
    core = opened()
    [refused] = say(core, f"<iq from='{JULIET}' to='{MONTAGUE}'/>")[0]
    assert isinstance(refused, StanzaRefused)
    events, _ = say(core, f"<iq from='nurse@{CAPULET}' to='{MONTAGUE}'/>")
    assert condition(events) == "invalid-from"


@pytest.mark.clause("E2E-04")
@pytest.mark.parametrize(
    ("sender", "target", "expected"),
    [
        (f"b@{CAPULET}", f"a@{MONTAGUE}", None),
        (THEIRS, f"a@{MONTAGUE}", None),
        (THEIRS, RELAY, None),
        (f"x@{THEIRS}", RELAY, "invalid-from"),
        (f"b@{CAPULET}", RELAY, "invalid-from"),
        (f"b@sub.{CAPULET}", MONTAGUE, "invalid-from"),
        (f"b@{CAPULET}", "verona.example", "host-unknown"),
    ],
)
def test_a_lane_carries_its_pairs(sender: str, target: str, expected: str | None) -> None:
    events = opened(LANE).receive_bytes(message(sender, target), NOW)
    if expected is None:
        assert runs(events) == message(sender, target)
    else:
        assert condition(events) == expected


@pytest.mark.clause("E2E-04")
def test_what_may_be_sent() -> None:
    user, express = opened(), opened(LANE)
    assert user.grants.send == {}
    assert user.may_send(DomainPair(MONTAGUE, CAPULET))
    assert not user.may_send(DomainPair("verona.example", CAPULET))
    assert not user.may_send(DomainPair(MONTAGUE, THEIRS))
    assert user.may_send_to(JULIET)
    assert not user.may_send_to(f"juliet@{CAPULET}")
    user.send_run(PAIR, message(MONTAGUE, JULIET), 1)
    with pytest.raises(MisuseError):
        user.send_run(PAIR, message(MONTAGUE, JULIET) + message(MONTAGUE, f"n@{CAPULET}"), 2)
    assert express.grants.send == {PAIR: "e2e"}
    express.send_run(PAIR, message(MONTAGUE, f"n@{CAPULET}"), 1)
    express.send_run(OUTER, message(RELAY, THEIRS), 1)
    with pytest.raises(MisuseError):
        express.send_run(OUTER, message(RELAY, f"x@{THEIRS}"), 1)
    for core in (user, express):
        core.close(NOW)
        assert not core.may_send(PAIR)
        assert not core.may_send_to(core.ends.peer)


@pytest.mark.clause("E2E-04")
@pytest.mark.parametrize(
    ("payload", "is_refused"),
    [
        ("<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate'/>", True),
        ("<jingle xmlns='urn:xmpp:jingle:0' action='session-initiate'/>", True),
        ("<open xmlns='http://jabber.org/protocol/ibb' sid='x' block-size='1'/>", True),
        ("<p:query xmlns:p='http://jabber.org/protocol/bytestreams' sid='x'/>", True),
        ("<query xmlns='jabber:iq:version'/>", False),
        ("<x xmlns='a}b'/>", False),
    ],
)
def test_no_stream_inside_a_stream(payload: str, is_refused: bool) -> None:
    core = opened()
    stanza = f"<iq from='{JULIET}' to='{RELAY}' id='1' type='set'>{payload}</iq>"
    other = message(JULIET, RELAY).decode()
    events, _ = say(core, other + stanza + other)
    refused = [event for event in events if isinstance(event, StanzaRefused)]
    assert [event.octets.decode() for event in refused] == [stanza] * is_refused
    assert [event.error.condition for event in refused] == ["service-unavailable"] * is_refused
    kinds = [RunReceived, StanzaRefused, RunReceived] if is_refused else [RunReceived]
    assert [type(event) for event in events] == kinds
    assert runs(events).count(b"<message") == 2
    elsewhere = stanza.replace(RELAY, f"romeo@{MONTAGUE}")
    assert runs(say(core, elsewhere)[0]).decode() == elsewhere, "users do as they like"


@pytest.mark.clause("E2E-04")
def test_no_stream_inside_a_lane_that_reaches_our_own_address() -> None:
    core = opened(Ends(RELAY, THEIRS, frozenset({DomainPair(RELAY, CAPULET)})))
    jingle = "<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate'/>"
    stanza = f"<iq from='b@{CAPULET}' to='{RELAY}' id='1' type='set'>{jingle}</iq>"
    events, _ = say(core, f"{stanza}<message from='b@{CAPULET}' to='{RELAY}'/>")
    assert [type(event) for event in events] == [StanzaRefused, RunReceived]


@pytest.mark.clause("E2E-06", "RTE-14", "RTE-15", "STR-19")
def test_what_leaves_for_a_component_is_in_the_components_namespace() -> None:
    core = recipient()
    say(core, header().replace("<stream:stream ", "<stream:stream xml:lang='it' xmlns:p='urn:p' "))
    events, _ = say(
        core,
        f"<message from='{JULIET}' to='romeo@{MONTAGUE}'><body xmlns='jabber:client'>x</body>"
        "<p:a/><forwarded xmlns='urn:f'><message xmlns='jabber:client'/></forwarded></message>",
    )
    component = ComponentStream(policy(MONTAGUE), ids(), {MONTAGUE: "s"}, NOW)
    component.domain, component.phase = MONTAGUE, Phase.OPEN
    component.send_run(PAIR.inverse(), runs(events), 1)
    assert component.bytes_to_send().decode() == (
        f'<message xmlns:p="urn:p" from="{JULIET}" to="romeo@{MONTAGUE}" xml:lang="it">'
        "<body>x</body><p:a/>"
        '<forwarded xmlns="urn:f"><message xmlns="jabber:client"/></forwarded></message>'
    )


# --- the end ---


@pytest.mark.clause("E2E-05")
def test_a_stream_that_is_closed_while_it_opens() -> None:
    core = InitiatorStream(ours(tls_required=False), ids(), USER, NOW)
    core.open()
    core.close(NOW)
    events, _ = say(core, header() + features())
    assert not any(isinstance(event, StreamReady | StreamClosed) for event in events)
    events, _ = say(core, "</stream:stream>")
    assert condition(events) is None


@pytest.mark.clause("E2E-05", "STR-15")
def test_what_comes_after_our_closing_tag_is_passed_on() -> None:
    core = opened()
    core.close(NOW)
    events, answer = say(core, "<message/></stream:stream>")
    assert runs(events) != b""
    assert (condition(events), answer) == (None, "</stream:stream>")
    assert opened().receive_eof(NOW)[-1] == StreamClosed(
        None, True, "connection ended without a closing tag", abrupt=True
    )
