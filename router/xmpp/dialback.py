"""Server Dialback (XEP-0220, keys by XEP-0185): one stream's part in all three roles.

Owns the tables of what this stream has asked and been asked. Whom to dial and what a verdict is
worth is decided outside. Both s2s cores hold one `Dialback` each and are its `Host`.
"""

import hashlib
import hmac
from typing import Final, Protocol
from xml.etree import ElementTree as etree
from xml.sax.saxutils import escape

from router.xmpp import jid, names
from router.xmpp.certificate import Evidence
from router.xmpp.errors import STANZA_CONDITIONS, StanzaError, StreamError
from router.xmpp.events import (
    ClaimRefused,
    Event,
    Ignored,
    KeyAnswered,
    KeyReceived,
    PairRefused,
)
from router.xmpp.grants import Grants
from router.xmpp.pair import DomainPair
from router.xmpp.policy import Policy
from router.xmpp.reader import local_name
from router.xmpp.stanza import error_element
from router.xmpp.writer import attributes

RESULT_TAG: Final = f"{{{names.DIALBACK}}}result"
VERIFY_TAG: Final = f"{{{names.DIALBACK}}}verify"
FEATURE_TAG: Final = f"{{{names.DIALBACK_FEATURE}}}dialback"
_STRAYS_ALLOWED: Final = 10  # DBK-28
_PAIRS_ALLOWED: Final = 1000  # DBK-07


def key(secret: bytes, receiving: str, originating: str, stream_id: str) -> str:
    """The dialback key of XEP-0185 §2; domains normalised, `stream_id` of the receiving server."""
    secret_hex = hashlib.sha256(secret).hexdigest().encode("ascii")
    text = f"{receiving} {originating} {stream_id}".encode()
    return hmac.new(secret_hex, text, hashlib.sha256).hexdigest()


class Host(Protocol):
    """What a stream core gives its dialback part."""

    policy: Policy
    grants: Grants
    evidence: Evidence
    stream_id: str

    def is_encrypted(self) -> bool:
        """Whether the stream runs inside TLS."""

    def accepts_keys(self) -> bool:
        """Whether the peer may prove pairs on this stream: it opened it, or it is bidi."""

    def speaks_for(self, domain: str) -> bool:
        """Whether the peer may take us for this hosted domain here (BIDI-14)."""

    def write(self, octets: bytes) -> None:
        """Queue octets for the peer."""

    def emit(self, event: Event) -> None:
        """Report an event."""

    def peer_proved(self, pair: DomainPair, mechanism: str) -> None:
        """The peer has proved that it may send stanzas of `pair`, and has been told."""

    def ours_accepted(self, pair: DomainPair) -> None:
        """The peer accepts stanzas of `pair` from us."""

    def end_orderly(self) -> None:
        """Close the stream in order."""


class Dialback:
    """Questions asked and to be answered on one stream, each with its deadline in seconds."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._results: dict[DomainPair, float] = {}  # keys we sent
        self._verifications: dict[tuple[DomainPair, str], float] = {}  # db:verify we sent
        self._keys: dict[DomainPair, str] = {}  # keys being verified → our stream id then
        self._begun = False
        self._strays = 0

    def begun(self) -> bool:
        """Whether the peer has sent a key on this stream, whatever became of it."""
        return self._begun

    def forget(self) -> None:
        """Drop everything pending: TLS makes a new stream (RFC 6120 §5.4.3.3)."""
        self._results.clear()
        self._verifications.clear()
        self._keys.clear()
        self._begun = False

    def deadline(self) -> float | None:
        """When the oldest question of ours has waited long enough."""
        if not (self._results or self._verifications):
            return None
        return min((*self._results.values(), *self._verifications.values()))

    def deadline_passed(self, now: float) -> None:
        """Give up on questions past their deadline; later answers are dropped (DBK-24)."""
        for pair in [pair for pair, deadline in self._results.items() if deadline <= now]:
            del self._results[pair]
            self._host.emit(PairRefused(pair, StanzaError.of("remote-server-timeout")))
        for asked in [a for a, deadline in self._verifications.items() if deadline <= now]:
            del self._verifications[asked]
            self._host.emit(KeyAnswered(*asked, "remote-server-timeout"))

    # --- initiating server ---

    def send_key(self, pair: DomainPair, now: float) -> None:
        """Send our key for `pair`, bound to the peer's current stream id (XEP-0220 §2.1.1)."""
        host = self._host
        self._results[pair] = now + host.policy.verification_timeout_s
        value = key(host.policy.secret, pair.target, pair.sender, host.stream_id)
        given = attributes({"from": pair.sender, "to": pair.target})
        host.write(f"<db:result{given}>{value}</db:result>".encode())

    def _result_answered(self, pair: DomainPair, element: etree.Element) -> None:
        asked = pair.inverse()
        if asked not in self._results:
            self._stray(f"db:result type for {asked} that was not asked")
            return
        kind = element.get("type")
        if kind == "valid":
            del self._results[asked]
            self._host.ours_accepted(asked)
        elif kind in ("invalid", "error"):
            del self._results[asked]
            condition = "internal-server-error" if kind == "invalid" else "remote-server-timeout"
            answer = kind if kind == "invalid" else _condition(element)
            error = StanzaError.of(condition, f"dialback answered {answer}")
            self._host.emit(PairRefused(asked, error, answer))
            if kind == "invalid":
                self._host.end_orderly()  # DBK-20: the peer is about to end it, send nothing more
        else:
            self._stray(f"db:result of type {kind!r}")

    # --- receiving server ---

    def send_verify(self, pair: DomainPair, stream_id: str, value: str, now: float) -> None:
        """Ask the authoritative server about a key for `pair` (XEP-0220 §2.1.2)."""
        self._verifications[pair, stream_id] = now + self._host.policy.verification_timeout_s
        given = attributes({"from": pair.target, "to": pair.sender, "id": stream_id})
        self._host.write(f"<db:verify{given}>{escape(value)}</db:verify>".encode())

    def _key_received(self, pair: DomainPair, value: str) -> None:
        self._begun = True
        refused = self._refusal(pair)
        if refused is not None:
            self._answer(pair, "error", refused)
        elif pair in self._host.grants.receive:
            self._answer(pair, "valid")  # DBK-25
        elif pair in self._keys:
            self._host.emit(Ignored(f"second dialback key for {pair} while one is pending"))
        elif (
            len(self._keys) >= self._host.policy.pending_verifications
            or len(self._host.grants.receive) >= _PAIRS_ALLOWED
        ):
            self._answer(pair, "error", "resource-constraint")
        elif self._host.evidence.proves(pair.sender).valid:
            self._answer(pair, "valid")  # XEP-0344 §2.4: no need to ask anybody
            self._host.peer_proved(pair, "external")
        else:
            self._keys[pair] = self._host.stream_id
            self._host.emit(KeyReceived(pair, self._host.stream_id, value))

    def _refusal(self, pair: DomainPair) -> str | None:
        """The dialback error a key for `pair` earns by policy, if any (XEP-0220 §2.5)."""
        policy, rule = self._host.policy, self._host.policy.rule(pair.sender)
        if policy.tls_required and not self._host.is_encrypted():
            return "policy-violation"
        if pair.target not in policy.perspective.ours:
            return "item-not-found"
        if not policy.perspective.admits(pair):
            self._host.emit(ClaimRefused(pair))
            return "policy-violation"
        if rule.deny or not self._host.speaks_for(pair.target):
            return "policy-violation"
        if rule.require_certificate and not self._host.evidence.proves(pair.sender).valid:
            return "not-authorized"
        return None

    def answer_key(self, pair: DomainPair, stream_id: str, verdict: str) -> None:
        """Tell the initiating server the outcome: "valid", "invalid" or an error condition.

        XEP-0220 §2.2.1. An answer for a stream id that is no longer ours changes nothing.
        """
        if self._keys.get(pair) != stream_id:
            return
        del self._keys[pair]
        if verdict == "valid":
            self._answer(pair, "valid")
            self._host.peer_proved(pair, "dialback")
        elif verdict != "invalid":
            self._answer(pair, "error", verdict)
        elif self._host.grants.receive:
            self._answer(pair, "error", "forbidden")  # DBK-16: other pairs live on
        else:
            self._answer(pair, "invalid")
            self._host.end_orderly()

    def _answer(self, pair: DomainPair, kind: str, condition: str | None = None) -> None:
        given = attributes({"from": pair.target, "to": pair.sender, "type": kind})
        self._host.write(_element("result", given, condition))

    # --- authoritative server ---

    def _verify_received(self, pair: DomainPair, element: etree.Element, value: str) -> None:
        """Answer a question about a key by computing it again (XEP-0220 §2.2.2).

        Here the sender of `pair` is the receiving server, its target the domain the key speaks for.
        """
        stream_id = element.get("id")
        policy = self._host.policy
        condition: str | None = None
        if stream_id is None:
            condition = "bad-request"
        elif policy.tls_required and not self._host.is_encrypted():
            condition = "policy-violation"
        elif pair.target not in policy.perspective.ours:
            condition = "item-not-found"
        kind = "error"
        if condition is None and stream_id is not None:
            ours = key(policy.secret, pair.sender, pair.target, stream_id)
            kind = "valid" if hmac.compare_digest(ours.encode(), value.encode()) else "invalid"
        given = attributes({"from": pair.target, "to": pair.sender, "id": stream_id, "type": kind})
        self._host.write(_element("verify", given, condition))

    def _verify_answered(self, pair: DomainPair, element: etree.Element) -> None:
        asked = (pair, element.get("id", ""))
        if asked not in self._verifications:
            self._stray(f"db:verify type for {asked[0]} that was not asked here")
            return
        kind = element.get("type")
        if kind not in ("valid", "invalid", "error"):
            self._stray(f"db:verify of type {kind!r}")
            return
        del self._verifications[asked]
        verdict = kind
        if kind == "error":
            verdict = "remote-server-not-found"  # DBK-17
        self._host.emit(KeyAnswered(*asked, verdict))

    # --- both ---

    def received(self, element: etree.Element) -> None:
        """Take a db:result or db:verify. Raises StreamError for broken addressing."""
        pair = _addresses(element)
        value = (element.text or "").strip()
        answered = element.get("type") is not None
        if element.tag == RESULT_TAG and answered:
            self._result_answered(pair, element)
        elif is_verify_answer(element):
            self._verify_answered(pair, element)
        elif element.tag == VERIFY_TAG:
            self._verify_received(pair, element, value)
        elif self._host.accepts_keys():
            self._key_received(pair, value)
        else:
            self._stray(f"dialback key for {pair} on a stream we opened, without bidi")

    def _stray(self, what: str) -> None:
        """Something nobody asked for: no state changes, ever (XEP-0220 §3.1)."""
        self._strays += 1
        if self._strays > _STRAYS_ALLOWED:
            raise StreamError("policy-violation", "too many unsolicited dialback elements")
        self._host.emit(Ignored(what))


def is_verify_answer(element: etree.Element) -> bool:
    """Whether this is an authoritative server's answer to a db:verify."""
    return element.tag == VERIFY_TAG and element.get("type") is not None


def _addresses(element: etree.Element) -> DomainPair:
    """From and to of a dialback element: domainparts only, both there (XEP-0220 §2.1)."""
    given = []
    for name in ("from", "to"):
        text = element.get(name, "")
        if not text or "@" in text or "/" in text:
            raise StreamError("improper-addressing", f"dialback element with bad '{name}'")
        try:
            given.append(jid.domain(text))
        except jid.JidError as error:
            raise StreamError("improper-addressing", str(error)) from None
    return DomainPair(*given)


def _element(name: str, given: str, condition: str | None) -> bytes:
    if condition is None:
        return f"<db:{name}{given}/>".encode()
    error = error_element(StanzaError(condition, _ERROR_TYPES.get(condition, "cancel")))
    return f"<db:{name}{given}>{error}</db:{name}>".encode()


# XEP-0220 §2.5 wants cancel where RFC 6120 would say auth.
_ERROR_TYPES: Final = STANZA_CONDITIONS | {"forbidden": "cancel", "not-authorized": "cancel"}


def _condition(element: etree.Element) -> str:
    """The stanza condition of a dialback error, or undefined-condition."""
    for child in element.iterfind(f"{{*}}error/{{{names.STANZA_ERRORS}}}*"):
        found = local_name(child)
        if found in STANZA_CONDITIONS:
            return found
    return "undefined-condition"
