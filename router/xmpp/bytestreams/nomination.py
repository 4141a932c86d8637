"""Which candidate carries a SOCKS5 bytestream (XEP-0260 §2.3, §2.4), seen from one side.

Both sides try the other's candidates; each says once what it has reached; the better of the two is
nominated, and a proxy is activated by the side that offered it. Connecting, and sending what is to
be said, are the caller's; so is time: `give_up` at its deadline.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from router.xmpp.bytestreams.s5b_transport import (
    PROXY,
    Activated,
    Candidate,
    CandidateError,
    CandidateUsed,
    ProxyError,
    S5bOffer,
    Said,
)
from router.xmpp.errors import StanzaError

STAGGER_S: Final = 0.2  # XEP-0260 §4
PROXY_DELAY_S: Final = 0.5  # "a bit longer"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Connect to the candidate `delay_s` after the first attempt, if still `worth_trying` then."""

    candidate: Candidate
    delay_s: float


def attempts(candidates: tuple[Candidate, ...]) -> list[Attempt]:
    """In which order, and when, to try the peer's candidates (XEP-0260 §4): best first."""
    ordered = sorted(candidates, key=lambda candidate: -candidate.priority)
    planned, delay_s = [], 0.0
    for candidate in ordered:
        if candidate.type == PROXY:
            delay_s = max(delay_s, PROXY_DELAY_S)
        planned.append(Attempt(candidate, delay_s))
        delay_s += STAGGER_S
    return planned


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the peer, in a transport-info."""

    said: Said


@dataclass(frozen=True, slots=True)
class UseProxy:
    """Our proxy is nominated: connect to it, activate it, then `activated` or `proxy_failed`."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Ready:
    """The bytestream may be used: on our connection to the peer's candidate, or our proxy; else,
    with `is_ours` and no proxy, on the one that the peer has made to us.
    """

    candidate: Candidate
    is_ours: bool
    """Whether we had offered it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No bytestream. With "connectivity-error" the initiator offers another transport (XEP-0260
    §3); "failed-transport" ends the session.
    """

    reason: str


Decision = Say | UseProxy | Ready | Failed


class _Phase(Enum):
    TRYING = "an outcome is missing, ours or the peer's"
    ACTIVATING = "our proxy is nominated"
    WAITING = "the peer's proxy is nominated"
    OVER = "ready or failed"


_OUT_OF_ORDER: Final = StanzaError("unexpected-request", "cancel")


class Negotiation:
    """One bytestream's candidates, from offer and answer to `Ready` or `Failed`, which is last."""

    def __init__(self, ours: S5bOffer, theirs: S5bOffer, *, is_initiator: bool) -> None:
        self._sid = ours.sid
        self._ours = {candidate.cid: candidate for candidate in ours.candidates}
        self._theirs = {candidate.cid: candidate for candidate in theirs.candidates}
        self._is_initiator = is_initiator
        self._phase = _Phase.TRYING
        self._has_said = self._has_heard = False
        self._reached: Candidate | None = None
        """The peer's candidate that we have connected to."""
        self._used: Candidate | None = None
        """Our candidate that the peer has connected to."""
        self._nominated: Candidate | None = None

    # --- our side ---

    def worth_trying(self, candidate: Candidate) -> bool:
        """Whether a connection to this candidate of the peer's could still be the one."""
        if self._has_said or self._phase is not _Phase.TRYING:
            return False
        return self._used is None or self._is_better(candidate, self._used)

    def connected(self, cid: str) -> list[Decision]:
        """We have a connection to this candidate of the peer's, the first one; others we close."""
        self._reached = self._theirs[cid]
        return self._say(CandidateUsed(self._sid, cid))

    def exhausted(self) -> list[Decision]:
        """No candidate of the peer's that is worth trying could be connected to."""
        return self._say(CandidateError(self._sid))

    def activated(self) -> list[Decision]:
        """Our proxy has said that the bytestream is active."""
        if self._phase is not _Phase.ACTIVATING or self._nominated is None:
            return []
        self._phase = _Phase.OVER
        said = Say(Activated(self._sid, self._nominated.cid))
        return [said, Ready(self._nominated, is_ours=True)]

    def proxy_failed(self) -> list[Decision]:
        """The nominated proxy, whoever offered it, cannot be used by us."""
        if self._phase not in (_Phase.ACTIVATING, _Phase.WAITING):
            return []
        return [Say(ProxyError(self._sid)), *self._fail()]

    def give_up(self) -> list[Decision]:
        """The caller's deadline has come."""
        if self._phase in (_Phase.ACTIVATING, _Phase.WAITING):
            return self.proxy_failed()
        if self._phase is _Phase.OVER:
            return []
        said = [] if self._has_said else [Say(CandidateError(self._sid))]
        return [*said, *self._fail()]

    def _say(self, said: Said) -> list[Decision]:
        if self._has_said or self._phase is not _Phase.TRYING:
            return []
        self._has_said = True
        return [Say(said), *self._decide()]

    # --- the peer's side ---

    def heard(self, said: Said) -> list[Decision] | StanzaError:
        """What the peer says; the error that answers it when it comes twice or out of order."""
        if said.sid != self._sid:
            return StanzaError.of("item-not-found", "no such bytestream")
        if isinstance(said, CandidateUsed | CandidateError):
            return self._outcome_heard(said)
        if isinstance(said, ProxyError):
            is_in_order = self._phase in (_Phase.ACTIVATING, _Phase.WAITING)
            return self._fail() if is_in_order else _OUT_OF_ORDER
        nominated = self._nominated
        if self._phase is not _Phase.WAITING or nominated is None:
            return _OUT_OF_ORDER
        if said.cid != nominated.cid:
            return self._fail("failed-transport")
        self._phase = _Phase.OVER
        return [Ready(nominated, is_ours=False)]

    def _outcome_heard(self, said: CandidateUsed | CandidateError) -> list[Decision] | StanzaError:
        if self._has_heard or self._phase is not _Phase.TRYING:
            return _OUT_OF_ORDER
        self._has_heard = True
        if isinstance(said, CandidateUsed):
            self._used = self._ours.get(said.cid)
            if self._used is None:
                return self._fail("failed-transport")
        return self._decide()

    # --- the decision ---

    def _decide(self) -> list[Decision]:
        """XEP-0260 §2.4, once both outcomes are known."""
        if not (self._has_said and self._has_heard):
            return []
        if self._reached is not None and (
            self._used is None or self._is_better(self._reached, self._used)
        ):
            return self._nominate(self._reached, is_ours=False)
        if self._used is not None:
            return self._nominate(self._used, is_ours=True)
        return self._fail()

    def _is_better(self, reached: Candidate, used: Candidate) -> bool:
        """Whether our choice beats the peer's: by priority, else the initiator's does."""
        if reached.priority != used.priority:
            return reached.priority > used.priority
        return self._is_initiator

    def _nominate(self, candidate: Candidate, *, is_ours: bool) -> list[Decision]:
        self._nominated = candidate
        if candidate.type != PROXY:
            self._phase = _Phase.OVER
            return [Ready(candidate, is_ours)]
        self._phase = _Phase.ACTIVATING if is_ours else _Phase.WAITING
        return [UseProxy(candidate)] if is_ours else []

    def _fail(self, reason: str = "connectivity-error") -> list[Decision]:
        self._phase = _Phase.OVER
        return [Failed(reason)]
