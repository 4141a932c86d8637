"""Several domain pairs on one stream: further senders, further targets, and the peer's own."""

from dataclasses import replace

import pytest

from router.xmpp import names
from router.xmpp.certificate import NO_CERTIFICATE, Evidence
from router.xmpp.errors import MisuseError
from router.xmpp.events import Event, KeyReceived, PairAuthorised, PairRefused, StreamClosed
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.receiving import ReceivingStream
from router.xmpp.s2s import ServerStream
from router.xmpp.states import Phase
from router.xmpp.xmlstream import XmlStream
from tests.support.pump import (
    CAPULET,
    MONTAGUE,
    NOW,
    PAIR,
    Proves,
    ids,
    inbound,
    policy,
    pump,
    say,
)

VERONA, LEAR = "verona.example", "lear.example"
SECOND_SENDER = DomainPair(VERONA, CAPULET)
SECOND_TARGET = DomainPair(MONTAGUE, LEAR)
ERROR = "<error type='{}'><{} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"


def joined(
    *,
    ours: Policy | None = None,
    theirs: Policy | None = None,
    we_see: Evidence = NO_CERTIFICATE,
    they_see: Evidence = NO_CERTIFICATE,
) -> tuple[InitiatingStream, ReceivingStream]:
    """A stream of ours to capulet.example on which our first pair is proved; keys are valid."""
    here = InitiatingStream(ours or policy(MONTAGUE, VERONA), ids("us"), PAIR, NOW, direct_tls=True)
    there = ReceivingStream(theirs or policy(CAPULET, LEAR), ids("them"), NOW, direct_tls=True)
    begin(here, there, we_see, they_see)
    assert here.may_send(PAIR)
    return here, there


def begin(
    here: InitiatingStream, there: ReceivingStream, we_see: Evidence, they_see: Evidence
) -> None:
    here.open()
    there.tls_established(they_see, NOW)
    here.tls_established(we_see, NOW)
    settle(here, there)


def settle(here: XmlStream, there: XmlStream) -> list[Event]:
    """Pump until silent, every key found valid meanwhile; what both reported."""
    seen: list[Event] = []
    while True:
        pumped = pump(here, there)
        seen += [event for events in pumped for event in events]
        keys = [
            (core, event)
            for core, events in zip((here, there), pumped, strict=True)
            for event in events
            if isinstance(event, KeyReceived)
        ]
        if not keys:
            return seen
        for core, key in keys:
            seen += core.answer_key(key.pair, key.stream_id, "valid", NOW)  # type: ignore[attr-defined]


@pytest.mark.clause("DBK-26", "DNA-01", "BIDI-09", "BIDI-10")
def test_a_second_sender_on_a_stream_proved_by_certificate() -> None:
    here, there = joined(they_see=Proves(MONTAGUE))
    assert here.mechanism == "external"
    here.ask_for(SECOND_SENDER, NOW)
    seen = settle(here, there)
    assert [event for event in seen if isinstance(event, KeyReceived)]  # not the certificate's name
    assert here.may_send(SECOND_SENDER)
    assert there.may_send(SECOND_SENDER.inverse())  # bidi, once it is proved
    assert here.grants.send == {PAIR: "external", SECOND_SENDER: "dialback"}
    assert there.grants.receive == {PAIR: "external", SECOND_SENDER: "dialback"}


@pytest.mark.clause("DBK-08", "DBK-26", "DNA-01")
def test_a_certificate_with_both_names_needs_no_verification() -> None:
    here, there = joined(they_see=Proves(MONTAGUE, VERONA))
    here.ask_for(SECOND_SENDER, NOW)
    seen = settle(here, there)
    assert not [event for event in seen if isinstance(event, KeyReceived)]
    assert here.may_send(SECOND_SENDER)
    assert there.grants.receive[SECOND_SENDER] == "external"


@pytest.mark.clause("DBK-27", "BIDI-16", "BIDI-20")
def test_a_second_target() -> None:
    here, there = joined()
    here.ask_for(SECOND_TARGET, NOW)
    settle(here, there)
    assert here.may_send(SECOND_TARGET)
    say(here, f"<message from='{LEAR}' to='{MONTAGUE}'/>")
    assert here.phase is not Phase.CLOSED  # with bidi the peer may speak as the second target


def test_no_pair_widens_another() -> None:
    here, there = joined()
    here.ask_for(SECOND_SENDER, NOW)
    here.ask_for(SECOND_TARGET, NOW)
    settle(here, there)
    crossed = DomainPair(VERONA, LEAR)
    assert not here.may_send(crossed)
    assert not there.may_send(crossed.inverse())
    events, _ = say(there, f"<message from='{VERONA}' to='{LEAR}'/>")
    assert isinstance(events[-1], StreamClosed)


@pytest.mark.clause("DBK-05")
def test_several_keys_at_once() -> None:
    senders = [f"s{number}.example" for number in range(10)]
    here, there = joined(ours=policy(MONTAGUE, *senders))
    for sender in senders:
        here.ask_for(DomainPair(sender, CAPULET), NOW)
    settle(here, there)
    assert all(here.may_send(DomainPair(sender, CAPULET)) for sender in senders)


@pytest.mark.clause("DBK-27")
def test_not_toward_a_peer_that_cannot_answer_with_an_error() -> None:
    here = InitiatingStream(policy(MONTAGUE, VERONA), ids(), PAIR, NOW, direct_tls=True)
    here.open()
    here.tls_established(NO_CERTIFICATE, NOW)
    say(
        here,
        f"<stream:stream xmlns='jabber:server' xmlns:db='{names.DIALBACK}'"
        f" xmlns:stream='{names.STREAMS}' id='x' version='1.0'><stream:features>"
        f"<dialback xmlns='{names.DIALBACK_FEATURE}'/></stream:features>",
    )
    say(here, f"<db:result from='{CAPULET}' to='{MONTAGUE}' type='valid'/>")
    assert here.may_send(PAIR)
    assert not here.may_ask_for(SECOND_SENDER)
    with pytest.raises(MisuseError):
        here.ask_for(SECOND_SENDER, NOW)


@pytest.mark.clause("BIDI-20")
@pytest.mark.parametrize("proved", [True, False])
def test_a_target_that_only_a_certificate_proves_needs_one_here(proved: bool) -> None:
    rules = {LEAR: PeerRule(require_certificate=True)}
    hosts = policy(MONTAGUE, VERONA)
    ours = replace(hosts, rule=lambda domain: rules.get(domain, PeerRule()))
    here, _ = joined(ours=ours, we_see=Proves(CAPULET, *([LEAR] if proved else [])))
    assert here.may_ask_for(SECOND_TARGET) == proved
    assert here.may_ask_for(SECOND_SENDER)


@pytest.mark.clause("BIDI-20")
def test_a_target_without_bidi_is_not_added_to_a_bidi_stream() -> None:
    ours = replace(policy(MONTAGUE), rule=lambda domain: PeerRule(bidi=domain != LEAR))
    here, _ = joined(ours=ours)
    assert here.is_bidi
    assert not here.may_ask_for(SECOND_TARGET)


@pytest.mark.parametrize("opened_by_us", [True, False])
def test_a_further_domain_without_bidi_proves_one_direction_alone(opened_by_us: bool) -> None:
    """Whichever of our domains it is to, and whoever opened the stream."""
    rule = {LEAR: PeerRule(bidi=False)}
    ours = replace(policy(MONTAGUE, VERONA), rule=lambda domain: rule.get(domain, PeerRule()))
    if opened_by_us:
        here: ServerStream
        here, _ = joined(ours=ours, we_see=Proves(CAPULET, LEAR))
    else:
        here = inbound(ours, Proves(CAPULET, LEAR), bidi=True)
        say(here, f"<db:result from='{CAPULET}' to='{MONTAGUE}'>key</db:result>")
        assert here.may_send(PAIR)
    say(here, f"<db:result from='{LEAR}' to='{MONTAGUE}'>key</db:result>")
    assert SECOND_TARGET.inverse() in here.grants.receive
    assert not here.may_send(SECOND_TARGET)
    assert not here.may_ask_for(DomainPair(VERONA, LEAR))


@pytest.mark.clause("DBK-21")
def test_one_pair_refused_leaves_the_others() -> None:
    here, _ = joined()
    here.ask_for(SECOND_SENDER, NOW)
    here.bytes_to_send()
    error = ERROR.format("wait", "resource-constraint")
    events, said = say(
        here, f"<db:result from='{CAPULET}' to='{VERONA}' type='error'>{error}</db:result>"
    )
    assert [(e.pair, e.answer) for e in events if isinstance(e, PairRefused)] == [
        (SECOND_SENDER, "resource-constraint")
    ]
    assert said == ""
    assert here.may_send(PAIR)
    assert not here.may_send(SECOND_SENDER)


@pytest.mark.clause("BIDI-14", "BIDI-15", "BIDI-16")
def test_the_receiving_server_adds_a_sender_of_its_own() -> None:
    """We opened; the peer proves lear.example to montague.example on the same stream."""
    here, there = joined()
    reverse = DomainPair(LEAR, MONTAGUE)
    assert there.may_ask_for(reverse)
    there.ask_for(reverse, NOW)
    seen = settle(here, there)
    assert PairAuthorised(reverse, True, "dialback") in seen
    assert there.may_send(reverse)
    assert here.may_send(reverse.inverse())  # BIDI-16
    say(there, f"<message from='{MONTAGUE}' to='{LEAR}'/>")
    assert there.phase is not Phase.CLOSED


@pytest.mark.clause("BIDI-14")
def test_the_receiving_server_adds_none_toward_a_domain_not_proved_or_without_bidi() -> None:
    _, there = joined()
    assert not there.may_ask_for(DomainPair(LEAR, VERONA))
    ours = policy(MONTAGUE, rule=PeerRule(bidi=False))
    _, there = joined(ours=ours)
    assert not there.may_ask_for(DomainPair(LEAR, MONTAGUE))
