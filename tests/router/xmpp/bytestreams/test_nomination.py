"""Which candidate is nominated, and how a proxy comes into use (XEP-0260 §2.3, §2.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp.bytestreams.nomination import (
    Decision,
    Failed,
    Negotiation,
    Ready,
    Say,
    UseProxy,
    attempts,
)
from router.xmpp.bytestreams.s5b_transport import (
    Activated,
    Candidate,
    CandidateError,
    CandidateUsed,
    ProxyError,
    S5bOffer,
    Said,
)
from router.xmpp.errors import StanzaError

SID = "vj3hs98y"


def candidate(cid: str, priority: int, type_of: str = "direct") -> Candidate:
    return Candidate(cid, f"{cid}.example", "a.example", 1080, priority, type_of)


R_HIGH, R_EQUAL, R_PROXY = (
    candidate("r-high", 9),
    candidate("r-equal", 5),
    candidate("r-proxy", 2, "proxy"),
)
J_LOW, J_EQUAL, J_PROXY = (
    candidate("j-low", 3),
    candidate("j-equal", 5),
    candidate("j-proxy", 1, "proxy"),
)
ROMEOS = S5bOffer(SID, (R_HIGH, R_EQUAL, R_PROXY))
JULIETS = S5bOffer(SID, (J_LOW, J_EQUAL, J_PROXY))


class Side:
    """One side of a negotiation, and what it has decided besides what it says."""

    def __init__(self, ours: S5bOffer, theirs: S5bOffer, *, is_initiator: bool) -> None:
        self.core = Negotiation(ours, theirs, is_initiator=is_initiator)
        self.said: list[Said] = []
        self.decided: list[Decision] = []

    def does(self, decisions: list[Decision] | StanzaError) -> "Side":
        assert not isinstance(decisions, StanzaError)
        self.said += [each.said for each in decisions if isinstance(each, Say)]
        self.decided += [each for each in decisions if not isinstance(each, Say)]
        return self

    def outcome(self, reached: Candidate | None) -> None:
        """Try the candidates: one was reached, or none."""
        core = self.core
        self.does(core.exhausted() if reached is None else core.connected(reached.cid))


def sides() -> tuple[Side, Side]:
    return (
        Side(ROMEOS, JULIETS, is_initiator=True),
        Side(JULIETS, ROMEOS, is_initiator=False),
    )


def carry(here: Side, there: Side) -> None:
    """Carry what is said until both are silent."""
    while here.said or there.said:
        for one, other in ((here, there), (there, here)):
            if one.said:
                other.does(other.core.heard(one.said.pop(0)))


def nominated(by_romeo: Candidate | None, by_juliet: Candidate | None) -> tuple[Side, Side]:
    """Both sides after both outcomes: which of the other's candidates each has reached."""
    romeo, juliet = sides()
    romeo.outcome(by_romeo)
    juliet.outcome(by_juliet)
    carry(romeo, juliet)
    return romeo, juliet


@pytest.mark.clause("S5B-04")
@pytest.mark.parametrize(
    ("by_romeo", "by_juliet", "winner"),
    [
        (J_LOW, R_HIGH, R_HIGH),
        (J_LOW, None, J_LOW),
        (None, R_EQUAL, R_EQUAL),
        (J_EQUAL, R_EQUAL, J_EQUAL),  # a tie: the initiator's choice
        (J_EQUAL, R_PROXY, J_EQUAL),
        (J_PROXY, R_EQUAL, R_EQUAL),
    ],
)
def test_the_higher_priority_wins_and_a_tie_is_the_initiators(
    by_romeo: Candidate | None, by_juliet: Candidate | None, winner: Candidate
) -> None:
    romeo, juliet = nominated(by_romeo, by_juliet)
    assert romeo.decided == [Ready(winner, is_ours=winner in ROMEOS.candidates)]
    assert juliet.decided == [Ready(winner, is_ours=winner in JULIETS.candidates)]


@pytest.mark.clause("S5B-04", "S5B-06")
def test_two_errors_are_a_failure() -> None:
    romeo, juliet = nominated(None, None)
    assert romeo.decided == juliet.decided == [Failed("connectivity-error")]


@pytest.mark.clause("S5B-03")
def test_each_side_says_one_outcome() -> None:
    romeo, _ = sides()
    assert romeo.core.connected("j-low") == [Say(CandidateUsed(SID, "j-low"))]
    assert romeo.core.connected("j-equal") == []
    assert romeo.core.exhausted() == []


@pytest.mark.clause("S5B-03")
@pytest.mark.parametrize("second", [CandidateError(SID), CandidateUsed(SID, "r-high")])
def test_a_second_outcome_of_the_peer_is_out_of_order(second: Said) -> None:
    romeo, _ = sides()
    assert romeo.core.heard(CandidateUsed(SID, "r-equal")) == []
    error = romeo.core.heard(second)
    assert isinstance(error, StanzaError)
    assert error.condition == "unexpected-request"


@pytest.mark.clause("S5B-03")
def test_a_candidate_that_was_not_offered_fails_the_transport() -> None:
    romeo, _ = sides()
    assert romeo.core.heard(CandidateUsed(SID, "j-low")) == [Failed("failed-transport")]
    assert romeo.core.connected("j-low") == []


@pytest.mark.clause("S5B-03")
def test_candidates_are_tried_by_priority_staggered_and_proxies_later() -> None:
    planned = attempts((R_PROXY, R_EQUAL, R_HIGH))
    assert [(each.candidate, each.delay_s) for each in planned] == [
        (R_HIGH, 0.0),
        (R_EQUAL, 0.2),
        (R_PROXY, 0.5),
    ]
    assert [each.delay_s for each in attempts((R_PROXY,))] == [0.5]
    assert attempts(()) == []


@pytest.mark.clause("S5B-03")
def test_after_the_peers_choice_only_better_candidates_are_worth_trying() -> None:
    romeo, juliet = sides()
    assert all(romeo.core.worth_trying(each) for each in JULIETS.candidates)
    romeo.core.heard(CandidateUsed(SID, "r-equal"))
    juliet.core.heard(CandidateUsed(SID, "j-equal"))
    assert [each for each in JULIETS.candidates if romeo.core.worth_trying(each)] == [J_EQUAL]
    assert [each for each in ROMEOS.candidates if juliet.core.worth_trying(each)] == [R_HIGH]
    romeo.outcome(J_EQUAL)
    assert not romeo.core.worth_trying(J_EQUAL)


@pytest.mark.clause("S5B-05")
def test_a_nominated_proxy_is_activated_by_who_offered_it_before_there_is_data() -> None:
    romeo, juliet = nominated(None, R_PROXY)
    assert romeo.decided == [UseProxy(R_PROXY)]
    assert juliet.decided == []
    romeo.does(romeo.core.activated())
    assert romeo.said == [Activated(SID, "r-proxy")]
    carry(romeo, juliet)
    assert romeo.decided[-1] == Ready(R_PROXY, is_ours=True)
    assert juliet.decided == [Ready(R_PROXY, is_ours=False)]


@pytest.mark.clause("S5B-05")
def test_the_responders_proxy_too() -> None:
    romeo, juliet = nominated(J_PROXY, None)
    assert (romeo.decided, juliet.decided) == ([], [UseProxy(J_PROXY)])
    juliet.does(juliet.core.activated())
    carry(romeo, juliet)
    assert romeo.decided == [Ready(J_PROXY, is_ours=False)]


@pytest.mark.clause("S5B-05", "S5B-06")
@pytest.mark.parametrize("is_ours", [True, False])
def test_a_proxy_that_cannot_be_used_fails_on_both_sides(is_ours: bool) -> None:
    romeo, juliet = nominated(None, R_PROXY) if is_ours else nominated(J_PROXY, None)
    romeo.does(romeo.core.proxy_failed())
    assert romeo.said == [ProxyError(SID)]
    carry(romeo, juliet)
    assert romeo.decided[-1] == juliet.decided[-1] == Failed("connectivity-error")


@pytest.mark.clause("S5B-05")
@pytest.mark.parametrize("said", [Activated(SID, "r-proxy"), ProxyError(SID)])
def test_nothing_is_activated_before_it_is_nominated(said: Said) -> None:
    for side in sides():
        assert isinstance(side.core.heard(said), StanzaError)
        assert side.core.activated() == []
        assert side.core.proxy_failed() == []


@pytest.mark.clause("S5B-05")
def test_a_proxy_that_was_not_nominated_is_activated_in_vain() -> None:
    romeo, _ = nominated(J_PROXY, None)
    assert romeo.core.heard(Activated(SID, "j-low")) == [Failed("failed-transport")]
    juliets = nominated(None, R_PROXY)[0]
    assert isinstance(juliets.core.heard(Activated(SID, "r-proxy")), StanzaError), "it is ours"


@pytest.mark.clause("S5B-06")
def test_who_gives_up_says_so_if_it_has_not_said_anything() -> None:
    romeo, juliet = sides()
    assert romeo.core.give_up() == [Say(CandidateError(SID)), Failed("connectivity-error")]
    assert romeo.core.give_up() == []
    juliet.outcome(R_HIGH)
    assert juliet.core.give_up() == [Failed("connectivity-error")]
    waiting, _ = nominated(J_PROXY, None)
    assert waiting.core.give_up() == [Say(ProxyError(SID)), Failed("connectivity-error")]


def test_what_is_said_of_another_bytestream() -> None:
    romeo, _ = sides()
    error = romeo.core.heard(CandidateError("another"))
    assert isinstance(error, StanzaError)
    assert error.condition == "item-not-found"


@given(
    st.none() | st.sampled_from(JULIETS.candidates),
    st.none() | st.sampled_from(ROMEOS.candidates),
    st.booleans(),
    st.booleans(),
)
def test_both_sides_always_decide_the_same(
    by_romeo: Candidate | None, by_juliet: Candidate | None, works: bool, early: bool
) -> None:
    romeo, juliet = sides()
    romeo.outcome(by_romeo)
    if early:
        carry(romeo, juliet)
    juliet.outcome(by_juliet)
    carry(romeo, juliet)
    for side in (romeo, juliet):
        if isinstance(side.decided[-1] if side.decided else None, UseProxy):
            side.does(side.core.activated() if works else side.core.proxy_failed())
    carry(romeo, juliet)
    here, there = romeo.decided[-1], juliet.decided[-1]
    if isinstance(here, Ready):
        assert there == Ready(here.candidate, not here.is_ours)
    else:
        assert here == there == Failed("connectivity-error")


@given(
    st.lists(
        st.sampled_from(
            [
                *(CandidateUsed(SID, cid) for cid in ("r-high", "r-proxy", "x")),
                *(CandidateError(SID), Activated(SID, "j-proxy"), ProxyError(SID)),
                *("connected", "exhausted", "activated", "proxy_failed", "give_up"),
            ]
        )
    )
)
def test_whatever_happens_there_is_at_most_one_end(happenings: list[Said | str]) -> None:
    side, _ = sides()
    decided: list[Decision] = []
    for happening in happenings:
        if isinstance(happening, str):
            given = ["j-proxy"] if happening == "connected" else []
            decided += getattr(side.core, happening)(*given)
        else:
            found = side.core.heard(happening)
            decided += [] if isinstance(found, StanzaError) else found
    assert sum(isinstance(each, Ready | Failed) for each in decided) <= 1
    outcomes = [e for e in decided if isinstance(e, Say)]
    assert sum(isinstance(e.said, CandidateUsed | CandidateError) for e in outcomes) <= 1
