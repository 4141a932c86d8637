"""All Jingle sessions at one address of ours: which session a stanza belongs to, and whether any.

Decides what no session can alone: who may begin one, how many there are, and which of two crossed
offers stands. The caller sends the answer first, then `take_requests`, then does `take_events`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as etree

from router.xmpp import jid, names
from router.xmpp.errors import STANZA_CONDITIONS, MisuseError, StanzaError
from router.xmpp.jingle import discovery
from router.xmpp.jingle.actions import OUT_OF_ORDER, TIE_BREAK, UNKNOWN_SESSION, Action
from router.xmpp.jingle.element import Jingle, Malformed, is_jingle, parse
from router.xmpp.jingle.events import JingleEvent, SessionKey
from router.xmpp.jingle.outbox import Outbox
from router.xmpp.jingle.security import Security
from router.xmpp.jingle.session import Session
from router.xmpp.jingle.states import State
from router.xmpp.jingle.transport import Transport, TransportMethods
from router.xmpp.service import Answer
from router.xmpp.stanza import Stanza, bounce, result

_NOBODY_HERE: Final = StanzaError.of("service-unavailable")
_TOO_MANY: Final = StanzaError.of("resource-constraint", "too many sessions")


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How many sessions peers may open, and how long (s) anybody may take for an answer."""

    sessions: int = 256
    sessions_per_domain: int = 16
    answer_timeout_s: float = 60.0


class Endpoint:
    """The sessions of the address `local`, over the transport methods `methods`.

    `new_id` makes ids for our requests. `may_open` says of the address that a stanza comes from
    whether it may open a session here; to others there is nothing here (JXS-03). With `security`,
    TLS comes first on the bytestreams of peers that want it so, too.
    """

    def __init__(
        self,
        local: str,
        methods: TransportMethods,
        new_id: Callable[[], str],
        may_open: Callable[[str], bool],
        limits: SessionLimits | None = None,
        security: Security | None = None,
    ) -> None:
        self._local = address(local)
        self._methods = methods
        self._may_open = may_open
        self._limits = limits or SessionLimits()
        self._security = security
        self._outbox = Outbox(local, new_id)
        self._sessions: dict[SessionKey, Session] = {}

    # --- what we wish ---

    def open(self, peer: str, sid: str, offers: tuple[Transport, ...], now: float) -> SessionKey:
        """Begin a session: ask what the peer supports, then offer the first that fits.

        `sid` is random, `offers` in order of preference, in-band bytestreams last; each has a
        random sid of its own. Raises MisuseError when the sid is in use, JidError for a bad peer.
        """
        key = SessionKey(address(peer), sid)
        if key in self._sessions:
            raise MisuseError(f"session {sid!r} exists")
        session = self._session(key, is_initiator=True)
        session.discover(offers, now)
        self._sessions[key] = session
        return key

    def session(self, key: SessionKey) -> Session | None:
        """The session, None when it has ended."""
        self._forget()
        return self._sessions.get(key)

    def take_requests(self) -> list[bytes]:
        """Stanzas of ours to send, neutral and whole, in order."""
        return self._outbox.take_requests()

    def take_events(self) -> list[JingleEvent]:
        """What has happened, in order."""
        self._forget()
        return self._outbox.take_events()

    # --- time ---

    def deadline(self) -> float | None:
        """When `deadline_passed` wants to be called, None for never."""
        self._forget()
        times = [at for each in self._sessions.values() if (at := each.deadline()) is not None]
        return min(times, default=None)

    def deadline_passed(self, now: float) -> None:
        """End the sessions in which nobody has answered in time."""
        for session in self._sessions.values():
            session.deadline_passed(now)
        self._forget()

    # --- what peers say ---

    def receive_request(self, stanza: Stanza, child: etree.Element, now: float) -> Answer | None:
        """Answer an iq addressed to us whose one child this is; None when it is not Jingle's."""
        if stanza.attributes.get("type") != "set" or not is_jingle(child):
            return None
        error = self._receive(stanza, child, now)
        self._forget()
        if error is not None:
            return Answer(bounce(stanza, error), is_refusal=True)
        return Answer(result(stanza))

    def receive_reply(self, stanza: Stanza, now: float) -> bool:
        """Take an iq result or error addressed to us; False when it answers no request of ours."""
        given = stanza.attributes
        iq_id = given.get("id", "")
        request = self._outbox.awaited(iq_id)
        if request is None or request.session.peer != _known(given.get("from", "")):
            return False
        self._outbox.answered(iq_id)
        session = self._sessions[request.session]
        if given.get("type") == "error":
            session.refused(request, _condition(stanza), now)
        elif request.action is None:
            session.discovered(discovery.features_in(stanza), now)
        else:
            session.acknowledged(request)
        self._forget()
        return True

    def _receive(self, stanza: Stanza, child: etree.Element, now: float) -> StanzaError | None:
        sender, target = (_known(stanza.attributes.get(end, "")) for end in ("from", "to"))
        is_party = any(key.peer == sender for key in self._sessions)
        if target != self._local or not (is_party or self._may_open(sender)):
            return _NOBODY_HERE
        jingle = parse(child)
        if isinstance(jingle, Malformed):
            return StanzaError.of("bad-request", jingle.detail)
        key = SessionKey(sender, jingle.sid)
        if jingle.action is Action.SESSION_INITIATE:
            return self._asked(key, jingle, now) if self._may_open(sender) else _NOBODY_HERE
        session = self._sessions.get(key)
        if session is None or session.state is State.DISCOVERING:
            return UNKNOWN_SESSION
        return session.receive(jingle, now)

    def _asked(self, key: SessionKey, jingle: Jingle, now: float) -> StanzaError | None:
        for ours in self._crossing(key.peer):
            if self._stands(ours, key):
                return TIE_BREAK
            ours.overruled()
        self._forget()
        if key in self._sessions:
            return OUT_OF_ORDER
        if self._is_full(key.peer):
            return _TOO_MANY
        session = self._session(key, is_initiator=False, namespace=jingle.namespace)
        error = session.asked(jingle, now)
        if error is None:
            self._sessions[key] = session
        return error

    def _crossing(self, peer: str) -> list[Session]:
        """Our own sessions with this peer that, as far as we know, it has not heard of."""
        return [
            each for key, each in self._sessions.items() if key.peer == peer and each.is_unheard()
        ]

    def _stands(self, ours: Session, theirs: SessionKey) -> bool:
        """Whether our offer overrules the peer's (XEP-0166 §7.2.16, i;octet collation)."""
        if ours.state is State.DISCOVERING:
            return False  # not an offer yet
        mine = (ours.key.sid.encode(), self._local.encode())
        return mine < (theirs.sid.encode(), theirs.peer.encode())

    def _is_full(self, peer: str) -> bool:
        peers = [key.peer for key, each in self._sessions.items() if not each.is_initiator]
        domain = jid.domain_of(peer)
        of_domain = sum(jid.domain_of(each) == domain for each in peers)
        return len(peers) >= self._limits.sessions or (
            of_domain >= self._limits.sessions_per_domain
        )

    def _session(
        self, key: SessionKey, *, is_initiator: bool, namespace: str = names.JINGLE
    ) -> Session:
        return Session(
            key,
            self._outbox,
            self._methods,
            self._limits.answer_timeout_s,
            is_initiator=is_initiator,
            namespace=namespace,
            security=self._security,
        )

    def _forget(self) -> None:
        for key in self._outbox.take_ended():
            self._sessions.pop(key, None)


def address(text: str) -> str:
    """An address with its domainpart normalised, as `SessionKey` has it; raises JidError."""
    bare, slash, resource = text.partition("/")
    local, at, _ = bare.rpartition("@")
    return f"{local}{at}{jid.domain_of(text)}{slash}{resource}"


def _known(text: str) -> str:
    """The address as compared here, "" when it is none."""
    try:
        return address(text)
    except jid.JidError:
        return ""


def _condition(stanza: Stanza) -> str:
    """The condition of a stanza error (RFC 6120 §8.3.3), "undefined-condition" for none."""
    try:
        root = etree.fromstring(stanza.octets)
    except etree.ParseError:
        return "undefined-condition"
    prefix = f"{{{names.STANZA_ERRORS}}}"
    found = [child.tag.removeprefix(prefix) for child in root.iterfind("error/*")]
    return next((name for name in found if name in STANZA_CONDITIONS), "undefined-condition")
