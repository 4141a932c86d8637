"""One session from the offer to the end, both roles, every path and every refusal."""

import pytest
from lxml import etree

from router.xmpp import names
from router.xmpp.errors import MisuseError
from router.xmpp.jingle import discovery
from router.xmpp.jingle.actions import REASONS
from router.xmpp.jingle.events import (
    InfoReceived,
    JingleEvent,
    Offered,
    SessionEnded,
    SessionKey,
    TransportAgreed,
    TransportOffered,
)
from router.xmpp.jingle.states import State
from router.xmpp.service import Profile
from tests.router.xmpp.jingle.joined import (
    DESCRIPTION,
    IBB,
    JULIET,
    NOW,
    PROFILE,
    ROMEO,
    S5B,
    TIMEOUT_S,
    Party,
    Pipe,
    Said,
    content,
    error_of,
    jingle_set,
    offer,
    pump,
    reason_of,
)

J = f"{{{names.JINGLE}}}"
KEY = SessionKey(JULIET, "s1")
"""The session as Romeo sees it, whoever opened it."""


def one_event(party: Party, kind: type[JingleEvent]) -> JingleEvent:
    (event,) = party.happened()
    assert isinstance(event, kind), event
    return event


def asked(transport: Pipe = IBB) -> Party:
    """Romeo, who has acknowledged Juliet's offer and not answered it."""
    romeo = Party(ROMEO)
    romeo.hear(jingle_set("session-initiate", "s1", offer(transport)))
    romeo.take()
    return romeo


def accepted(transport: Pipe = IBB) -> Party:
    """Romeo, who has accepted Juliet's offer."""
    romeo = asked(transport)
    romeo.wish(KEY, "accept", transport)
    romeo.take()
    romeo.happened()
    return romeo


def offering(*offers: Pipe) -> Party:
    """Romeo, whose offer Juliet has acknowledged and not answered."""
    romeo, juliet = Party(ROMEO), Party(JULIET)
    romeo.open(JULIET, "s1", *(offers or (IBB,)))
    pump(romeo, juliet)
    romeo.happened()
    return romeo


def active(*offers: Pipe) -> Party:
    """Romeo, whose offer Juliet has accepted."""
    romeo = offering(*offers)
    romeo.hear(jingle_set("session-accept", "s1", offer((offers or (IBB,))[0])))
    romeo.take()
    romeo.happened()
    return romeo


def told(party: Party, octets: bytes) -> list[etree._Element]:
    """What a party says when it hears this, the answer first."""
    party.hear(octets)
    return party.take()


def refusal(party: Party, octets: bytes) -> tuple[str, ...]:
    """The conditions of the answer, which must be an error and all there is."""
    (answer,) = told(party, octets)
    return error_of(answer)


def acknowledged(party: Party, octets: bytes) -> list[etree._Element]:
    """What follows the answer, which must be an empty result."""
    answer, *rest = told(party, octets)
    assert (answer.get("type"), answer.get("id"), len(answer)) == ("result", "x1", 0)
    return rest


# --- the offer ---


@pytest.mark.clause("JXS-01")
def test_an_offer_is_one_content_in_the_current_namespaces() -> None:
    romeo, juliet = Party(ROMEO), Party(JULIET)
    romeo.open(JULIET, "s1", S5B, IBB)
    said = [etree.fromstring(octets) for octets in pump(romeo, juliet)]
    query, answer, initiate, ack = said
    assert query[0].tag == f"{{{names.DISCO_INFO}}}query"
    assert (query.get("type"), answer.get("type"), ack.get("type")) == ("get", "result", "result")
    assert (initiate.get("from"), initiate.get("to")) == (ROMEO, JULIET)
    (jingle,) = initiate
    assert (jingle.tag, dict(jingle.attrib)) == (
        f"{J}jingle",
        {"action": "session-initiate", "sid": "s1", "initiator": ROMEO},
    )
    (only,) = jingle
    assert (only.tag, dict(only.attrib)) == (
        f"{J}content",
        {"creator": "initiator", "name": "xmlstream"},
    )
    assert [child.tag for child in only] == [
        f"{{{names.JINGLE_XMLSTREAM}}}description",
        f"{{{names.JINGLE_S5B}}}transport",
    ]


@pytest.mark.clause("JXS-01")
@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ({names.JINGLE}, "unsupported-applications"),
        ({names.JINGLE_XMLSTREAM}, "unsupported-applications"),
        ({names.JINGLE_S5B, names.JINGLE_IBB}, "unsupported-transports"),
    ],
)
def test_nothing_is_offered_to_a_peer_that_does_not_support_it(
    missing: set[str], reason: str
) -> None:
    features = tuple(feature for feature in PROFILE.features if feature not in missing)
    romeo, juliet = Party(ROMEO), Party(JULIET, profile=Profile(features=features))
    key = romeo.open(JULIET, "s1", S5B, IBB)
    assert len(pump(romeo, juliet)) == 2, "the query and its answer"
    assert romeo.happened() == [SessionEnded(key, reason)]


@pytest.mark.clause("JXS-06")
def test_only_in_band_is_offered_to_a_peer_that_speaks_nothing_else() -> None:
    romeo = Party(ROMEO)
    juliet = Party(JULIET, profile=discovery.profile(has_s5b=False))
    romeo.open(JULIET, "s1", S5B, IBB)
    pump(romeo, juliet)
    assert juliet.happened() == [Offered(SessionKey(ROMEO, "s1"), IBB)]


@pytest.mark.clause("JXS-06")
@pytest.mark.parametrize("offers", [(), (S5B,), (IBB, S5B), (IBB, IBB)])
def test_in_band_must_be_the_last_offer(offers: tuple[Pipe, ...]) -> None:
    with pytest.raises(MisuseError):
        Party(ROMEO).open(JULIET, "s1", *offers)


@pytest.mark.clause("JXS-01")
@pytest.mark.parametrize("condition", ["service-unavailable", "remote-server-timeout", "x"])
def test_a_peer_that_cannot_be_asked_is_offered_nothing(condition: str) -> None:
    romeo = Party(ROMEO)
    key = romeo.open(JULIET, "s1", IBB)
    (query,) = romeo.take()
    romeo.hear(failed(query, condition))
    known = "undefined-condition" if condition == "x" else condition
    assert romeo.happened() == [SessionEnded(key, "", known, by_peer=True)]
    assert romeo.take() == []


def failed(request: etree._Element, condition: str, more: str = "") -> bytes:
    """An error that answers a request of Romeo's."""
    inside = f"<{condition} xmlns='{names.STANZA_ERRORS}'/>{more}"
    return (
        f"<iq from='{JULIET}' to='{ROMEO}' id='{request.get('id')}' type='error'>"
        f"<error type='cancel'>{inside}</error></iq>"
    ).encode()


# --- acknowledged, then answered ---


@pytest.mark.clause("JXS-03", "JXS-04")
def test_an_offer_is_acknowledged_then_accepted_as_it_was_made() -> None:
    romeo = Party(ROMEO)
    mine = offer(Pipe("inband", 8), "my &apos;name&apos;")
    romeo.hear(jingle_set("session-initiate", "s1", mine))
    assert romeo.happened() == [Offered(KEY, Pipe("inband", 8))]
    romeo.wish(KEY, "accept", Pipe("inband", 4))
    ack, accept = romeo.take()
    assert (ack.get("type"), ack.get("id"), len(ack)) == ("result", "x1", 0)
    (jingle,) = accept
    assert dict(jingle.attrib) == {"action": "session-accept", "sid": "s1", "responder": ROMEO}
    (only,) = jingle
    assert dict(only.attrib) == {"creator": "initiator", "name": "my 'name'"}
    assert [child.tag for child in only] == [
        f"{{{names.JINGLE_XMLSTREAM}}}description",
        f"{{{names.JINGLE_IBB}}}transport",
    ]
    assert romeo.happened() == [TransportAgreed(KEY, Pipe("inband", 4), IBB, is_offerer=False)]


@pytest.mark.clause("JXS-02")
def test_the_old_namespaces_are_answered_in_kind() -> None:
    romeo = Party(ROMEO)
    old = Pipe("inband", namespace=names.JINGLE_IBB_0)
    romeo.hear(jingle_set("session-initiate", "s1", offer(old), namespace=names.JINGLE_0))
    (event,) = romeo.happened()
    assert event == Offered(KEY, old)
    romeo.wish(KEY, "accept", old)
    romeo.wish(KEY, "terminate", "success")
    _, accept, terminate = romeo.take()
    for request in (accept, terminate):
        assert request[0].tag == f"{{{names.JINGLE_0}}}jingle"
    assert accept[0][0].tag == f"{{{names.JINGLE_0}}}content"
    assert accept[0][0][1].tag == f"{{{names.JINGLE_IBB_0}}}transport"


@pytest.mark.clause("JXS-05")
@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        (
            content("<description xmlns='urn:x'/>" + IBB.element().decode()),
            "unsupported-applications",
        ),
        (
            offer(Pipe("old", namespace="urn:xmpp:jingle:transports:s5b:0")),
            "unsupported-transports",
        ),
        (
            content(
                DESCRIPTION + IBB.element().decode(), more="creator='initiator' senders='initiator'"
            ),
            "incompatible-parameters",
        ),
    ],
)
def test_what_is_unsupported_is_acknowledged_then_ended(inside: str, reason: str) -> None:
    romeo = Party(ROMEO)
    (end,) = acknowledged(romeo, jingle_set("session-initiate", "s1", inside))
    assert reason_of(end) == reason
    assert romeo.endpoint.session(KEY) is None


@pytest.mark.clause("JXS-05")
def test_of_several_contents_one_is_accepted() -> None:
    voice = content("<description xmlns='urn:v'/><transport xmlns='urn:t'/>", "voice")
    new = offer(Pipe("new", namespace="urn:new"), "a")
    romeo = asked_with(voice + new + offer(IBB, "b"))
    romeo.wish(KEY, "accept", IBB)
    (accept,) = romeo.take()
    assert [only.get("name") for only in accept[0]] == ["b"]


def asked_with(inside: str) -> Party:
    romeo = Party(ROMEO)
    assert acknowledged(romeo, jingle_set("session-initiate", "s1", inside)) == []
    return romeo


@pytest.mark.clause("JXS-03")
def test_a_transport_that_breaks_its_rules_is_a_bad_request() -> None:
    romeo = Party(ROMEO)
    bad = jingle_set("session-initiate", "s1", offer(Pipe("")))
    assert refusal(romeo, bad) == ("bad-request",)
    assert romeo.endpoint.session(KEY) is None
    assert romeo.happened() == []


@pytest.mark.parametrize("reason", ["decline", "busy", "gone"])
def test_an_offer_can_be_declined(reason: str) -> None:
    romeo = asked()
    romeo.wish(KEY, "terminate", reason, "not now")
    (end,) = romeo.take()
    assert reason_of(end) == reason
    assert end[0][0].findtext(f"{J}text") == "not now"
    assert romeo.happened()[-1] == SessionEnded(KEY, reason, text="not now")


# --- the answer to our offer ---


@pytest.mark.clause("JXS-04")
def test_an_accept_agrees_on_the_answered_transport() -> None:
    romeo = offering()
    assert acknowledged(romeo, jingle_set("session-accept", "s1", offer(Pipe("inband", 4)))) == []
    assert romeo.happened() == [TransportAgreed(KEY, IBB, Pipe("inband", 4), is_offerer=True)]


@pytest.mark.clause("JXS-04", "IBB-02")
@pytest.mark.parametrize(
    "inside",
    [
        pytest.param(offer(name="stub"), id="another name"),
        pytest.param(offer().replace("'initiator'", "'responder'"), id="another creator"),
        pytest.param(offer().replace("xmlstream:0", "stub:0"), id="another application"),
        pytest.param(offer(Pipe("else")), id="another bytestream"),
        pytest.param(offer(S5B), id="another transport"),
        pytest.param(offer(Pipe("inband", 9)), id="raised"),
        pytest.param(offer(Pipe("inband", namespace="urn:x")), id="unknown transport"),
        pytest.param(offer() + offer(name="more"), id="more than was offered"),
    ],
)
def test_an_accept_of_something_else_ends_the_session(inside: str) -> None:
    romeo = offering()
    (end,) = acknowledged(romeo, jingle_set("session-accept", "s1", inside))
    assert reason_of(end) == "incompatible-parameters"
    assert romeo.endpoint.session(KEY) is None


@pytest.mark.clause("JXS-04")
def test_an_accept_with_a_broken_transport_is_a_bad_request() -> None:
    romeo = offering()
    assert refusal(romeo, jingle_set("session-accept", "s1", offer(Pipe("")))) == ("bad-request",)
    assert acknowledged(romeo, jingle_set("session-accept", "s1", offer())) == []


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_an_offer_of_ours_can_be_declined(reason: str) -> None:
    romeo = offering()
    ended = f"<reason><{reason}/><text>no</text></reason>"
    assert acknowledged(romeo, jingle_set("session-terminate", "s1", ended)) == []
    assert romeo.happened() == [SessionEnded(KEY, reason, text="no", by_peer=True)]


@pytest.mark.parametrize("condition", ["service-unavailable", "conflict", "item-not-found"])
def test_an_offer_that_is_refused_is_over(condition: str) -> None:
    romeo, juliet = Party(ROMEO), Party(JULIET)
    romeo.open(JULIET, "s1", IBB)
    juliet.hear(romeo.out.popleft())
    romeo.hear(juliet.out.popleft())
    (initiate,) = romeo.take()
    romeo.hear(failed(initiate, condition))
    assert romeo.happened() == [SessionEnded(KEY, "", condition, by_peer=True)]
    assert romeo.take() == []


@pytest.mark.parametrize(
    ("condition", "says"), [("remote-server-timeout", ["general-error"]), ("item-not-found", [])]
)
def test_an_accept_that_did_not_arrive_ends_the_session(condition: str, says: list[str]) -> None:
    romeo = asked()
    romeo.wish(KEY, "accept", IBB)
    (accept,) = romeo.take()
    romeo.hear(failed(accept, condition))
    assert [reason_of(each) for each in romeo.take()] == says
    assert isinstance(romeo.happened()[-1], SessionEnded)
    assert romeo.endpoint.session(KEY) is None


# --- the end ---


@pytest.mark.clause("JXS-08")
def test_the_session_lives_until_it_is_terminated_then_is_unknown() -> None:
    romeo = accepted()
    assert acknowledged(romeo, jingle_set("session-info", "s1")) == []
    romeo.wish(KEY, "terminate", "success")
    (end,) = romeo.take()
    assert reason_of(end) == "success"
    assert romeo.happened() == [SessionEnded(KEY, "success")]
    for action in ("session-info", "session-terminate", "transport-info"):
        late = jingle_set(action, "s1", offer())
        assert refusal(romeo, late) == ("item-not-found", "unknown-session")


@pytest.mark.clause("JXS-08")
def test_the_peers_terminate_is_acknowledged_and_ends_it() -> None:
    romeo = accepted()
    ended = jingle_set("session-terminate", "s1", "<reason><success/></reason>")
    assert acknowledged(romeo, ended) == []
    assert romeo.happened() == [SessionEnded(KEY, "success", by_peer=True)]
    assert refusal(romeo, ended) == ("item-not-found", "unknown-session")


def test_a_wish_after_the_end_does_nothing() -> None:
    romeo = accepted()
    session = romeo.endpoint.session(KEY)
    assert session is not None
    session.terminate("success")
    romeo.drain()
    romeo.take()
    romeo.happened()
    session.terminate("gone")
    session.accept(IBB)
    session.accept_transport(IBB)
    session.reject_transport()
    session.inform(Said("socks", "activated"))
    session.ping()
    session.transport_failed(NOW)
    session.deadline_passed(NOW * 2)
    romeo.drain()
    assert (romeo.take(), romeo.happened()) == ([], [])


def test_a_reason_that_is_none_is_our_own_fault() -> None:
    with pytest.raises(MisuseError):
        accepted().wish(KEY, "terminate", "because")


def test_a_wish_at_the_wrong_time_is_our_own_fault() -> None:
    with pytest.raises(MisuseError):
        accepted().wish(KEY, "accept", IBB)
    with pytest.raises(MisuseError):
        accepted().wish(KEY, "reject_transport")


# --- the wrong thing, or at the wrong time ---


@pytest.mark.clause("JXS-09")
@pytest.mark.parametrize(
    ("state", "action"),
    [
        ("accepted", "session-accept"),
        ("asked", "session-accept"),
        ("active", "session-accept"),
        ("active", "session-initiate"),
        ("active", "transport-accept"),
        ("active", "transport-reject"),
        ("asked", "transport-accept"),
        ("active", "content-accept"),
        ("active", "content-reject"),
    ],
)
def test_what_may_not_happen_now_is_out_of_order(state: str, action: str) -> None:
    romeo = {"accepted": accepted, "asked": asked, "active": active}[state]()
    before = romeo.endpoint.session(KEY)
    assert before is not None
    in_state = before.state
    assert refusal(romeo, jingle_set(action, "s1", offer())) == (
        "unexpected-request",
        "out-of-order",
    )
    assert before.state is in_state


@pytest.mark.clause("JXS-09")
def test_an_unknown_action_is_a_bad_request() -> None:
    assert refusal(active(), jingle_set("x", "s1")) == ("bad-request",)


@pytest.mark.clause("JXS-09")
@pytest.mark.parametrize("action", ["session-info", "description-info", "security-info"])
def test_information_that_we_do_not_know_is_unsupported(action: str) -> None:
    romeo = active()
    unknown = jingle_set(action, "s1", "<ringing xmlns='urn:xmpp:jingle:apps:rtp:1:info'/>")
    assert refusal(romeo, unknown) == ("feature-not-implemented", "unsupported-info")
    assert acknowledged(romeo, jingle_set(action, "s1")) == [], "an empty one is a ping"


@pytest.mark.clause("JXS-09")
def test_information_on_a_transport_that_has_none_is_unsupported() -> None:
    said = content(Said("inband", "hello", names.JINGLE_IBB).element().decode())
    assert refusal(active(), jingle_set("transport-info", "s1", said)) == (
        "feature-not-implemented",
        "unsupported-info",
    )


def test_more_contents_are_declined() -> None:
    (reject,) = acknowledged(active(), jingle_set("content-add", "s1", offer(name="voice")))
    (jingle,) = reject
    assert jingle.get("action") == "content-reject"
    assert [each.get("name") for each in jingle] == ["voice"]


@pytest.mark.parametrize(
    ("action", "more", "reason"),
    [
        ("content-remove", "creator='initiator'", "success"),
        ("content-modify", "creator='initiator' senders='none'", "incompatible-parameters"),
    ],
)
def test_a_session_without_its_content_is_over(action: str, more: str, reason: str) -> None:
    (end,) = acknowledged(active(), jingle_set(action, "s1", content("", more=more)))
    assert reason_of(end) == reason


def test_a_stream_goes_both_ways_as_before() -> None:
    both = content("", more="creator='initiator' senders='both'")
    assert acknowledged(active(), jingle_set("content-modify", "s1", both)) == []


@pytest.mark.parametrize(
    "action", ["content-remove", "content-modify", "transport-info", "transport-replace"]
)
def test_a_content_that_is_not_ours_is_not_found(action: str) -> None:
    assert refusal(active(), jingle_set(action, "s1", offer(name="x"))) == ("item-not-found",)


# --- transports ---


def info(pipe_sid: str, word: str = "candidate-used") -> bytes:
    said = Said(pipe_sid, word).element().decode()
    return jingle_set("transport-info", "s1", content(said))


@pytest.mark.clause("S5B-03")
def test_transport_information_goes_both_ways() -> None:
    romeo = accepted(S5B)
    assert acknowledged(romeo, info("socks")) == []
    assert romeo.happened() == [InfoReceived(KEY, Said("socks", "candidate-used"))]
    romeo.wish(KEY, "inform", Said("socks", "candidate-error"))
    (request,) = romeo.take()
    assert request[0].get("action") == "transport-info"
    assert request[0][0][0][0].tag == f"{{{names.JINGLE_S5B}}}candidate-error"


def test_transport_information_may_come_before_the_answer() -> None:
    romeo = offering(S5B, IBB)
    assert acknowledged(romeo, info("socks")) == []
    assert isinstance(one_event(romeo, InfoReceived), InfoReceived)


def test_transport_information_on_another_bytestream_is_out_of_order() -> None:
    romeo = accepted(S5B)
    assert refusal(romeo, info("other")) == ("unexpected-request", "out-of-order")
    empty = content(f"<transport xmlns='{names.JINGLE_S5B}' sid='socks'/>")
    assert refusal(romeo, jingle_set("transport-info", "s1", empty)) == ("bad-request",)


@pytest.mark.clause("S5B-06", "JXS-06")
def test_the_initiator_falls_back_to_the_next_transport() -> None:
    romeo, juliet = Party(ROMEO), Party(JULIET)
    key = romeo.open(JULIET, "s1", S5B, IBB)
    there = SessionKey(ROMEO, "s1")
    pump(romeo, juliet)
    juliet.wish(there, "accept", S5B)
    pump(romeo, juliet)
    romeo.happened(), juliet.happened()
    romeo.wish(key, "transport_failed", NOW)
    juliet.wish(there, "transport_failed", NOW)
    pump(romeo, juliet)
    assert juliet.happened() == [TransportOffered(there, IBB)]
    juliet.wish(there, "accept_transport", Pipe("inband", 2))
    said = [etree.fromstring(octets) for octets in pump(romeo, juliet)]
    assert said[0][0].get("action") == "transport-accept"
    assert romeo.happened() == [TransportAgreed(key, IBB, Pipe("inband", 2), is_offerer=True)]
    assert juliet.happened() == [TransportAgreed(there, Pipe("inband", 2), IBB, is_offerer=False)]
    assert romeo.endpoint.deadline() is juliet.endpoint.deadline() is None


@pytest.mark.clause("S5B-06")
def test_when_nothing_is_left_the_initiator_terminates() -> None:
    romeo = active(IBB)
    romeo.wish(KEY, "transport_failed", NOW)
    (end,) = romeo.take()
    assert reason_of(end) == "connectivity-error"


@pytest.mark.clause("S5B-06")
def test_a_rejected_transport_is_followed_by_the_next() -> None:
    second = Pipe("socks2", namespace=names.JINGLE_S5B)
    romeo = active(S5B, second, IBB)
    for expected in (names.JINGLE_S5B, names.JINGLE_IBB):
        if expected == names.JINGLE_S5B:
            romeo.wish(KEY, "transport_failed", NOW)
            (replace,) = romeo.take()
        else:
            rejected = jingle_set("transport-reject", "s1", content(second.element().decode()))
            (replace,) = acknowledged(romeo, rejected)
        assert replace[0].get("action") == "transport-replace"
        assert replace[0][0][0].tag == f"{{{expected}}}transport"
    (end,) = acknowledged(romeo, jingle_set("transport-reject", "s1", offer()))
    assert reason_of(end) == "connectivity-error"


@pytest.mark.parametrize(
    ("condition", "says"),
    [("feature-not-implemented", "connectivity-error"), ("item-not-found", None)],
)
def test_a_replacement_that_is_refused_is_rejected(condition: str, says: str | None) -> None:
    romeo = active(S5B, IBB)
    romeo.wish(KEY, "transport_failed", NOW)
    (replace,) = romeo.take()
    romeo.hear(failed(replace, condition))
    assert [reason_of(each) for each in romeo.take()] == ([says] if says else [])
    assert isinstance(romeo.happened()[-1], SessionEnded)


def test_a_late_refusal_does_the_next_replacement_no_harm() -> None:
    second = Pipe("socks2", namespace=names.JINGLE_S5B)
    romeo = active(S5B, second, IBB)
    romeo.wish(KEY, "transport_failed", NOW)
    (replace,) = romeo.take()
    rejected = jingle_set("transport-reject", "s1", content(second.element().decode()))
    assert len(acknowledged(romeo, rejected)) == 1
    romeo.hear(failed(replace, "bad-request"))
    assert romeo.take() == []
    assert acknowledged(romeo, jingle_set("transport-accept", "s1", offer())) == []


def test_a_replacement_answered_by_something_else_ends_the_session() -> None:
    romeo = active(S5B, IBB)
    romeo.wish(KEY, "transport_failed", NOW)
    romeo.take()
    (end,) = acknowledged(romeo, jingle_set("transport-accept", "s1", offer(Pipe("else"))))
    assert reason_of(end) == "incompatible-parameters"


@pytest.mark.clause("JXS-10")
def test_the_initiators_replacement_overrules_the_responders() -> None:
    romeo = active(S5B, IBB)
    romeo.wish(KEY, "transport_failed", NOW)
    romeo.take()
    theirs = jingle_set("transport-replace", "s1", content(Pipe("x").element().decode()))
    assert refusal(romeo, theirs) == ("conflict", "tie-break")
    assert acknowledged(romeo, jingle_set("transport-accept", "s1", offer())) == []


@pytest.mark.clause("S5B-06")
@pytest.mark.parametrize("role", [accepted, active])
def test_a_peers_replacement_can_be_rejected(role: object) -> None:
    romeo = active(IBB) if role is active else accepted(IBB)
    replace = jingle_set("transport-replace", "s1", content(S5B.element().decode()))
    assert acknowledged(romeo, replace) == []
    assert one_event(romeo, TransportOffered) == TransportOffered(KEY, S5B)
    assert refusal(romeo, replace) == ("unexpected-request", "out-of-order")
    romeo.wish(KEY, "reject_transport")
    (reject,) = romeo.take()
    assert reject[0].get("action") == "transport-reject"
    assert reject[0][0][0].get("sid") == "socks"
    session = romeo.endpoint.session(KEY)
    assert session is not None
    assert session.state is State.ACTIVE
    assert session.deadline() is None


@pytest.mark.clause("S5B-06")
@pytest.mark.parametrize(
    ("state", "transport"), [("active", Pipe("x", namespace="urn:x")), ("asked", S5B)]
)
def test_a_replacement_we_cannot_use_is_rejected_at_once(state: str, transport: Pipe) -> None:
    romeo = active() if state == "active" else asked()
    romeo.happened()
    replace = jingle_set("transport-replace", "s1", content(transport.element().decode()))
    (reject,) = acknowledged(romeo, replace)
    assert reject[0].get("action") == "transport-reject"
    assert reject[0][0][0].tag == f"{{{transport.namespace}}}transport"
    assert romeo.happened() == []


def test_a_broken_replacement_is_a_bad_request() -> None:
    replace = jingle_set("transport-replace", "s1", content(Pipe("").element().decode()))
    assert refusal(active(), replace) == ("bad-request",)


def test_what_is_said_of_the_former_transport_is_acknowledged_and_dropped() -> None:
    romeo = active(S5B, IBB)
    romeo.wish(KEY, "transport_failed", NOW)
    romeo.take()
    assert acknowledged(romeo, info("socks", "candidate-error")) == []
    assert romeo.happened() == []


def test_information_that_is_refused_is_a_failed_transport() -> None:
    romeo = active(S5B, IBB)
    for word in ("candidate-used", "activated"):
        romeo.wish(KEY, "inform", Said("socks", word))
    first, second = romeo.take()
    romeo.hear(failed(first, "bad-request"))
    (replace,) = romeo.take()
    assert replace[0].get("action") == "transport-replace"
    romeo.hear(jingle_set("transport-accept", "s1", offer()))
    romeo.take()
    romeo.hear(failed(second, "bad-request"))
    assert romeo.take() == [], "a late refusal does the new transport no harm"


# --- time ---


@pytest.mark.parametrize(
    ("state", "reasons"),
    [("discovering", []), ("offering", ["timeout"]), ("asked", ["timeout"])],
)
def test_an_answer_that_does_not_come_in_time_ends_the_session(
    state: str, reasons: list[str]
) -> None:
    romeo = {"discovering": discovering, "offering": offering, "asked": asked}[state]()
    romeo.happened()
    assert romeo.endpoint.deadline() == NOW + TIMEOUT_S
    romeo.endpoint.deadline_passed(NOW + TIMEOUT_S - 0.1)
    romeo.drain()
    assert romeo.happened() == []
    romeo.endpoint.deadline_passed(NOW + TIMEOUT_S)
    romeo.drain()
    assert [reason_of(each) for each in romeo.take()] == reasons
    assert romeo.happened() == [SessionEnded(KEY, "timeout")]
    assert romeo.endpoint.deadline() is None


def discovering() -> Party:
    romeo = Party(ROMEO)
    romeo.open(JULIET, "s1", IBB)
    romeo.take()
    return romeo


@pytest.mark.clause("S5B-06")
def test_the_responder_waits_for_a_replacement_and_not_for_ever() -> None:
    romeo = accepted(S5B)
    assert romeo.endpoint.deadline() is None
    romeo.wish(KEY, "transport_failed", NOW)
    assert romeo.take() == []
    romeo.endpoint.deadline_passed(NOW + TIMEOUT_S)
    romeo.drain()
    assert [reason_of(each) for each in romeo.take()] == ["failed-transport"]


@pytest.mark.parametrize(
    ("condition", "ends"), [("item-not-found", True), ("remote-server-timeout", False)]
)
def test_a_ping_finds_out_whether_the_peer_knows_the_session(condition: str, ends: bool) -> None:
    romeo = active()
    romeo.wish(KEY, "ping")
    (ping,) = romeo.take()
    assert (ping[0].get("action"), len(ping[0])) == ("session-info", 0)
    romeo.hear(failed(ping, condition, f"<unknown-session xmlns='{names.JINGLE_ERRORS}'/>"))
    assert (romeo.endpoint.session(KEY) is None) is ends
