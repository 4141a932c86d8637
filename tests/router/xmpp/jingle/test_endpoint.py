"""Who may begin a session, whose session it is, and which of two crossed offers stands."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from router.xmpp import names
from router.xmpp.errors import MisuseError
from router.xmpp.jid import JidError
from router.xmpp.jingle.actions import ACTIONS
from router.xmpp.jingle.endpoint import Endpoint, SessionLimits, address
from router.xmpp.jingle.events import Offered, SessionEnded, SessionKey, TransportAgreed
from router.xmpp.stanza import cut
from tests.router.xmpp.jingle.joined import (
    DESCRIPTION,
    IBB,
    JULIET,
    METHODS,
    NOW,
    PROFILE,
    ROMEO,
    S5B,
    Party,
    Pipe,
    content,
    error_of,
    jingle_set,
    offer,
    pump,
)
from tests.support.pump import ids

INITIATE = jingle_set("session-initiate", "s1", offer())


def refusal(party: Party, octets: bytes) -> tuple[str, ...]:
    """The conditions of the answer, which must be an error and all there is."""
    party.hear(octets)
    (answer,) = party.take()
    return error_of(answer)


def by(who: str, octets: bytes) -> bytes:
    """The same request from somebody else."""
    return octets.replace(f"from='{JULIET}'".encode(), f"from='{who}'".encode())


# --- who ---


@pytest.mark.clause("JXS-03")
@pytest.mark.parametrize("action", [*sorted(ACTIONS), "x"])
@pytest.mark.parametrize("inside", ["", offer(), "<content/>"])
def test_the_unlisted_learn_nothing(action: str, inside: str) -> None:
    romeo = Party(ROMEO, listed=False)
    assert refusal(romeo, jingle_set(action, "s1", inside)) == ("service-unavailable",)
    assert romeo.happened() == []


@pytest.mark.clause("JXS-03")
def test_an_unlisted_peer_that_we_called_may_speak_of_that_session_alone() -> None:
    romeo, juliet = Party(ROMEO, listed=False), Party(JULIET)
    key = romeo.open(JULIET, "s1", IBB)
    pump(romeo, juliet)
    juliet.wish(SessionKey(ROMEO, "s1"), "accept", IBB)
    pump(romeo, juliet)
    assert romeo.happened() == [TransportAgreed(key, IBB, IBB, is_offerer=True)]
    another = jingle_set("session-initiate", "s2", offer())
    assert refusal(romeo, another) == ("service-unavailable",)


@pytest.mark.clause("JXS-11")
@pytest.mark.parametrize(
    "who", ["relay.capulet.example", "relay.capulet.example/garden", "tybalt@capulet.example"]
)
def test_a_session_is_its_peers_alone(who: str) -> None:
    romeo = Party(ROMEO)
    romeo.hear(INITIATE)
    romeo.take()
    for action in ("session-info", "session-terminate", "session-accept"):
        foreign = by(who, jingle_set(action, "s1", offer()))
        assert refusal(romeo, foreign) == ("item-not-found", "unknown-session")
    assert romeo.endpoint.session(SessionKey(JULIET, "s1")) is not None


@pytest.mark.clause("JXS-11")
def test_who_the_initiator_says_to_be_is_ignored() -> None:
    romeo = Party(ROMEO)
    romeo.hear(INITIATE.replace(b" sid=", b" initiator='tybalt@capulet.example' sid="))
    (event,) = romeo.happened()
    assert event == Offered(SessionKey(JULIET, "s1"), IBB)


def test_a_peer_is_the_same_however_its_domain_is_spelt() -> None:
    romeo = Party(ROMEO)
    romeo.hear(INITIATE)
    romeo.hear(by("Relay.CAPULET.example./balcony", jingle_set("session-info", "s1")))
    assert [answer.get("type") for answer in romeo.take()] == ["result", "result"]
    assert address("Relay.CAPULET.example./Balcony") == "relay.capulet.example/Balcony"
    assert address("a@B.example/c@d/e") == "a@b.example/c@d/e"


def test_an_address_of_ours_that_has_no_sessions() -> None:
    romeo = Party(ROMEO)
    elsewhere = INITIATE.replace(f"to='{ROMEO}'".encode(), f"to='{ROMEO}/x'".encode())
    assert refusal(romeo, elsewhere) == ("service-unavailable",)


@pytest.mark.parametrize(
    "octets",
    [
        f"<iq from='{JULIET}' to='{ROMEO}' id='1' type='set'><x xmlns='urn:x'/></iq>".encode(),
        INITIATE.replace(b"type='set'", b"type='get'"),
        INITIATE.replace(b"urn:xmpp:jingle:1", b"urn:xmpp:jingle:2"),
    ],
)
def test_what_is_not_jingle_is_left_to_others(octets: bytes) -> None:
    romeo = Party(ROMEO)
    romeo.hear(octets)
    (answer,) = romeo.take()
    assert error_of(answer) == ("service-unavailable",), "the answer is the router's"
    assert romeo.happened() == []


# --- how many ---


def test_sessions_are_bounded_by_domain_and_in_all() -> None:
    limits = SessionLimits(sessions=3, sessions_per_domain=2, answer_timeout_s=1)
    romeo = Party(ROMEO, limits=limits)
    verdicts = []
    for number, who in enumerate(["a@x.example", "b@x.example/c", "x.example", "y.example", "z"]):
        romeo.hear(by(who, jingle_set("session-initiate", f"s{number}", offer())))
        (answer,) = romeo.take()
        verdicts.append(answer.get("type") == "result" or error_of(answer))
    full = ("resource-constraint",)
    assert verdicts == [True, True, full, True, full]
    romeo.endpoint.deadline_passed(NOW + 1)
    romeo.drain()
    romeo.take()
    romeo.hear(INITIATE)
    assert [answer.get("type") for answer in romeo.take()] == ["result"], "there is room again"


def test_what_we_open_takes_no_room_from_peers() -> None:
    romeo = Party(ROMEO, limits=SessionLimits(sessions=1))
    romeo.open("tybalt.example", "mine", IBB)
    romeo.take()
    romeo.hear(INITIATE)
    assert [answer.get("type") for answer in romeo.take()] == ["result"]


def test_a_sid_that_is_in_use() -> None:
    romeo = Party(ROMEO)
    romeo.hear(INITIATE)
    romeo.take()
    assert refusal(romeo, INITIATE) == ("unexpected-request", "out-of-order")
    with pytest.raises(MisuseError):
        romeo.open(JULIET, "s1", IBB)
    with pytest.raises(JidError):
        romeo.open("a@", "s2", IBB)


# --- crossed offers ---


def crossed(romeos: str, juliets: str) -> tuple[Party, Party]:
    """Both have sent session-initiate before either has heard of the other's."""
    romeo, juliet = Party(ROMEO), Party(JULIET)
    romeo.open(JULIET, romeos, IBB)
    juliet.open(ROMEO, juliets, IBB)
    for here, there in ((romeo, juliet), (juliet, romeo)):
        query = here.out.popleft()
        there.hear(query)
        here.hear(there.out.pop())
    assert len(romeo.out) == len(juliet.out) == 1
    return romeo, juliet


@pytest.mark.clause("JXS-10")
@pytest.mark.parametrize(
    ("romeos", "juliets", "wins"),
    [
        ("a", "b", ROMEO),
        ("b", "a", JULIET),
        ("B", "a", ROMEO),
        ("é", "z", JULIET),
        # "relay.capulet…" sorts before "relay.montague…"
        ("same", "same", JULIET),
    ],
)
def test_of_crossed_offers_the_lower_sid_stands(romeos: str, juliets: str, wins: str) -> None:
    romeo, juliet = crossed(romeos, juliets)
    said = pump(romeo, juliet)
    winner, loser = (romeo, juliet) if wins == ROMEO else (juliet, romeo)
    (conflict,) = [octets for octets in said if b"<tie-break " in octets]
    assert b"<conflict " in conflict
    assert etree.fromstring(conflict).get("from") == winner.address
    sid = romeos if winner is romeo else juliets
    assert winner.happened() == []
    ended, offered = loser.happened()
    assert isinstance(ended, SessionEnded)
    assert (ended.reason, ended.by_peer) == ("alternative-session", True)
    assert offered == Offered(SessionKey(winner.address, sid), IBB)
    loser.wish(offered.session, "accept", IBB)
    pump(romeo, juliet)
    assert isinstance(winner.happened()[0], TransportAgreed)


@pytest.mark.clause("JXS-10")
def test_an_offer_that_finds_us_asking_takes_the_place_of_ours() -> None:
    romeo = Party(ROMEO)
    mine = romeo.open(JULIET, "a", IBB)
    romeo.take()
    romeo.hear(jingle_set("session-initiate", "b", offer()))
    assert romeo.happened() == [
        SessionEnded(mine, "alternative-session", by_peer=True),
        Offered(SessionKey(JULIET, "b"), IBB),
    ]


@pytest.mark.clause("JXS-10")
def test_an_offer_made_in_knowledge_of_ours_does_not_cross_it() -> None:
    romeo, juliet = Party(ROMEO), Party(JULIET)
    mine = romeo.open(JULIET, "a", IBB)
    pump(romeo, juliet)
    juliet.happened()
    theirs = juliet.open(ROMEO, "b", IBB)
    pump(romeo, juliet)
    assert romeo.happened() == [Offered(SessionKey(JULIET, "b"), IBB)]
    assert romeo.endpoint.session(mine) is not None
    assert juliet.endpoint.session(theirs) is not None


@pytest.mark.clause("JXS-10")
def test_an_accept_tells_as_much_as_an_acknowledgement() -> None:
    romeo, juliet = Party(ROMEO), Party(JULIET)
    mine = romeo.open(JULIET, "a", IBB)
    juliet.hear(romeo.out.popleft())
    romeo.hear(juliet.out.popleft())
    romeo.take()
    for octets in (
        jingle_set("session-accept", "a", offer()),
        jingle_set("session-initiate", "b", offer()),
    ):
        romeo.hear(octets)
    assert [answer.get("type") for answer in romeo.take()] == ["result", "result"]
    assert romeo.endpoint.session(mine) is not None


def test_a_session_that_is_not_offered_yet_is_unknown_to_the_peer() -> None:
    romeo = Party(ROMEO)
    romeo.open(JULIET, "s1", IBB)
    romeo.take()
    assert refusal(romeo, jingle_set("session-accept", "s1", offer())) == (
        "item-not-found",
        "unknown-session",
    )


# --- answers to our requests ---


def test_an_answer_counts_once_and_from_the_peer_alone() -> None:
    romeo = Party(ROMEO)
    romeo.open(JULIET, "s1", IBB)
    (query,) = romeo.take()

    def reply(who: str) -> bool:
        features = "".join(f"<feature var='{each}'/>" for each in PROFILE.features)
        (stanza,) = cut(
            f"<iq from='{who}' to='{ROMEO}' id='{query.get('id')}' type='result'>"
            f"<query xmlns='{names.DISCO_INFO}'>{features}</query></iq>".encode()
        )
        return romeo.endpoint.receive_reply(stanza, NOW)

    assert not reply("tybalt.example")
    assert not reply("relay.capulet.example")
    assert reply(JULIET)
    assert not reply(JULIET)
    romeo.drain()
    (initiate,) = romeo.take()
    assert initiate[0].get("action") == "session-initiate"


@pytest.mark.clause("JXS-07")
def test_the_addresses_of_the_inner_stream_are_those_of_the_session() -> None:
    romeo = Party(ROMEO)
    romeo.hear(INITIATE)
    (event,) = romeo.happened()
    session = romeo.endpoint.session(event.session)
    assert session is not None
    assert (session.local, session.key.peer) == (ROMEO, JULIET)


# --- any of it ---

_SAID = st.builds(
    jingle_set,
    st.sampled_from([*sorted(ACTIONS), "x"]),
    st.sampled_from(["s1", "s2", ""]),
    st.sampled_from(
        [
            "",
            offer(),
            offer(S5B),
            offer(Pipe("")),
            offer(name="other"),
            content(DESCRIPTION),
            "<reason><gone/></reason>",
            "<x xmlns='urn:x'/>",
        ]
    ),
    namespace=st.sampled_from([names.JINGLE, names.JINGLE_0]),
)
_WISHES = st.sampled_from(["accept", "replace", "reject", "failed", "terminate", "late", "open"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(_SAID, _WISHES), max_size=20))
def test_whatever_is_said_every_request_has_one_answer(steps: list[bytes | str]) -> None:
    romeo, opened = Party(ROMEO), 0
    for said in steps:
        if isinstance(said, bytes):
            romeo.hear(said)
            first, *rest = romeo.take()
            assert first.get("type") in ("result", "error")
            assert all(each.get("type") in ("set", "get") for each in rest)
        elif said == "open":
            opened += 1
            romeo.open(JULIET, f"o{opened}", IBB)
        else:
            _wish(romeo, said)
        romeo.happened()
        romeo.take()
    romeo.endpoint.deadline_passed(NOW * 3)
    romeo.drain()
    assert all(isinstance(event, SessionEnded) for event in romeo.happened())
    assert romeo.endpoint.deadline() is None


def _wish(romeo: Party, name: str) -> None:
    session = romeo.endpoint.session(SessionKey(JULIET, "s1"))
    if session is None:
        return
    try:
        match name:
            case "accept":
                session.accept(IBB)
            case "replace":
                session.accept_transport(IBB)
            case "reject":
                session.reject_transport()
            case "failed":
                session.transport_failed(NOW)
            case "terminate":
                session.terminate("gone")
            case "late":
                romeo.endpoint.deadline_passed(NOW * 2)
    except MisuseError as error:
        # the one thing it may complain of is a wish at the wrong time
        assert re.fullmatch(r".* while .*", str(error))
    romeo.drain()


def test_an_endpoint_has_an_address() -> None:
    with pytest.raises(JidError):
        Endpoint("@x.example", METHODS, ids(), lambda peer: True)
