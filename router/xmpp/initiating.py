"""The initiating server's side of a stream: we connected (RFC 6120, XEP-0178, 0220, 0288)."""

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree as etree

from router.xmpp import bidi, external, limits, names, writer
from router.xmpp.dialback import FEATURE_TAG as DIALBACK_FEATURE_TAG
from router.xmpp.errors import MisuseError, StanzaError, StreamError
from router.xmpp.events import Event, Ignored, PairRefused, StartTls
from router.xmpp.pair import DomainPair
from router.xmpp.policy import Policy
from router.xmpp.reader import Header, local_name
from router.xmpp.s2s import ServerStream, speaks_version_1
from router.xmpp.states import INITIATING, Input, Phase
from router.xmpp.stream_management import FEATURE_TAG as MANAGEMENT_FEATURE_TAG
from router.xmpp.xmlstream import STARTTLS_TAG

_FEATURES_TAG = f"{{{names.STREAMS}}}features"
_KNOWN_FEATURES = {
    STARTTLS_TAG,
    external.MECHANISMS_TAG,
    DIALBACK_FEATURE_TAG,
    MANAGEMENT_FEATURE_TAG,
    *bidi.FEATURE_TAGS,
}


@dataclass(frozen=True, slots=True)
class Offers:
    """What the peer's features have offered so far; `errors`: it speaks dialback errors.

    `management`: the latest ones offer it, for it is where they do that it can be enabled.
    """

    external: bool = False
    bidi: bool = False
    dialback: bool = False
    errors: bool = False
    limits: bool = False
    management: bool = False

    def promise_sharing(self) -> bool:
        """Whether a peer that offers this can be expected to bear several pairs on one stream.

        Dialback errors alone say too little. COMPAT ejabberd 23.01: it offers them, but several
        keys on a stream make it stand still for 5 s and refuse them.
        """
        return self.errors and self.bidi and self.limits


class InitiatingStream(ServerStream):
    """One stream we open for `pair`: sender hosted here, target remote.

    `has_certificate`: TLS presents a certificate for the sender, so EXTERNAL may be used. Begin
    with `open()`. Ends in `PairAuthorised`, or in `PairRefused` or `StreamClosed` before it.
    `offers`, and `external`, what became of our EXTERNAL ("", "asked", "refused", "accepted"), tell
    why. `targets`: the domains that we came to this server for, not those the peer proved itself.
    `lost`: a stream that this one is to go on with, its SM-ID and what had been received on it.
    """

    TABLE = INITIATING
    IS_INITIATING = True

    def __init__(
        self,
        policy: Policy,
        new_id: Callable[[], str],
        pair: DomainPair,
        now: float,
        *,
        direct_tls: bool = False,
        has_certificate: bool = True,
        wants_bidi: bool = True,
    ) -> None:
        phase = Phase.DIRECT_TLS if direct_tls else Phase.PLAIN_HEADER
        super().__init__(policy, new_id, phase, now)
        self.local, self.remote = pair
        self.targets = {pair.target}
        self._pair = pair
        self._rule = policy.rule(pair.target)
        self._has_certificate = has_certificate
        self._wants_bidi = wants_bidi and self._rule.bidi
        self.offers = Offers()
        self.lost: tuple[str, int] = ("", 0)
        self.external = ""
        self._peer_knows_dialback = False
        self._waiting_verifications: list[tuple[DomainPair, str, str]] = []

    def open(self) -> list[Event]:
        """Begin: our header, or the request to start TLS first."""
        if self.phase is Phase.DIRECT_TLS:
            self.emit(StartTls())
        else:
            self._send_header()
        return self._take_events()

    def may_verify(self, pair: DomainPair) -> bool:
        """Whether the peer is authoritative for the pair's sender: the server we opened this to."""
        return pair.sender in self.targets

    def carries_verify(self) -> bool:
        """Not while SASL is under way: nothing may come between its elements."""
        return self.phase is Phase.OPEN or (
            self.phase in (Phase.SECURE, Phase.PLAIN) and self.stream_id != ""
        )

    def verify(
        self, pair: DomainPair, stream_id: str, key: str, now: float, *, leads_there: bool = False
    ) -> None:
        """Have the peer verify a key for `pair` (its domain the sender): answered by KeyAnswered.

        XEP-0220 §2.1.2. Sent as soon as the stream is past its features, authenticated or not.
        `leads_there`: the caller has found that the pair's sender is at this very server.
        """
        if not (leads_there or self.may_verify(pair)):
            raise MisuseError(f"{self.remote} is not authoritative for {pair.sender}")
        self._now = now
        if self.carries_verify():
            self._dialback.send_verify(pair, stream_id, key, now)
        else:
            self._waiting_verifications.append((pair, stream_id, key))

    # --- header and features ---

    def _send_header(self) -> None:
        self._header_sent = True
        self._out.append(
            writer.server_header(sender=self.local, target=self.remote, stream_id=None)
        )

    def _secured(self) -> None:
        verdict = self.evidence.proves(self.remote)
        if self._rule.require_certificate and not verdict.valid:
            self._send_header()
            raise StreamError("policy-violation", f"certificate of the peer: {verdict.reason}")
        self._dialback.forget()
        self.offers = Offers()  # TLS-06: what was offered in plaintext may be anybody's
        self._peer_knows_dialback = False
        self._send_header()

    def _received_header(self, header: Header) -> None:
        if header.fault is not None:
            raise header.fault
        self.stream_id = header.attributes.get("id", "")
        self._peer_knows_dialback = names.DIALBACK in header.namespaces.values()
        version_1 = speaks_version_1(header)
        if self.phase is Phase.CLOSING:
            return
        self._move(Input.HEADER)
        if not version_1:  # STR-08 seen from here: no features will come
            self._move(Input.FEATURES)
            self._negotiate(None)

    def _received_element(self, element: etree.Element) -> None:
        if self.phase is not Phase.STARTTLS and self._received_dialback(element):
            return
        if element.tag == _FEATURES_TAG:
            self._received_features(element)
        elif self.phase is Phase.SASL:
            self._received_sasl(element)
        elif not (self._took_starttls_answer(element) or self.management.take(element)):
            self.emit(Ignored(f"unexpected element {element.tag!r}"))

    def _received_features(self, features: etree.Element) -> None:
        if not self._may(Input.FEATURES):
            self.emit(Ignored("features where none were due"))
            return
        self._move(Input.FEATURES)
        self._negotiate(features)

    def _negotiate(self, features: etree.Element | None) -> None:
        """Take the next step the features allow (RFC 6120 §4.3.2)."""
        self.peer_limits = limits.announced(features)
        offered = {child.tag for child in features} if features is not None else set()
        self.offers = _offers(features, self.offers)
        self._peer_knows_dialback |= self.offers.dialback
        if self.phase is Phase.OPEN:
            self._accepted(self._pair, "external")
        elif self.phase is Phase.PLAIN and (self._needs_tls() or STARTTLS_TAG in offered):
            # TLS-08: asked for even when not offered, in case somebody took the offer out.
            self._move(Input.STARTTLS)
            self.write(writer.STARTTLS)
        else:
            if self._trusts_bidi() and not offered.isdisjoint(bidi.FEATURE_TAGS):
                self.is_bidi = True
                # A peer that does not speak of limits may not expect anything inside the request.
                speaks_of_limits = limits.are_announced(features)
                self.write(writer.bidi_request(self.own_limits() if speaks_of_limits else ""))
            external_offered = features is not None and _has_external(features)
            self._prove(external_offered, _required_unknown(features))

    def _needs_tls(self) -> bool:
        return self.policy.tls_required or self._rule.require_certificate

    def _trusts_bidi(self) -> bool:
        """BIDI-13: the peer has the proof that we would want of it if it had connected."""
        # Where the rule requires a certificate, `_secured` has ended the stream without one.
        proved = self.policy.dialback or self.evidence.proves(self.remote).valid
        return self._wants_bidi and proved

    def _prove(self, external_offered: bool, required_unknown: str = "") -> None:
        """Prove that we are the sender domain: by certificate if we can, else by dialback."""
        if external_offered and self._has_certificate and self.is_encrypted():
            self._move(Input.AUTH)
            self.external = "asked"
            self.write(external.auth(self.local))
        elif self.policy.dialback and self._peer_knows_dialback and self.stream_id:
            self._dialback.send_key(self._pair, self._now)
            self._send_waiting_verifications()
        elif required_unknown:  # FEA-05
            raise StreamError("unsupported-feature", f"required and unknown: {required_unknown}")
        else:
            self._refused("the peer offers no way to authenticate that we can use")

    def _refused(self, text: str) -> None:
        self.emit(PairRefused(self._pair, StanzaError.of("remote-server-timeout", text)))
        self.end_orderly()

    # --- SASL ---

    def _received_sasl(self, element: etree.Element) -> None:
        if element.tag == external.SUCCESS_TAG:
            self._move(Input.SUCCESS)
            self.external = "accepted"
            if self._reader.pending():
                raise StreamError("bad-format", "octets between SASL success and the new header")
            self.mechanism = "external"
            self._restart()
            self._send_header()
        elif element.tag == external.CHALLENGE_TAG:
            self.write(external.response(self.local))
        elif element.tag == external.FAILURE_TAG:
            self._move(Input.FAILURE)
            self.external = "refused"
            self.emit(Ignored(f"EXTERNAL refused: {_first_child(element)}"))
            self._prove(external_offered=False)  # SAS-09
        else:
            self.emit(Ignored(f"unexpected element {element.tag!r}"))

    # --- authority ---

    def may_ask_for(self, pair: DomainPair) -> bool:
        """DBK-26, DBK-27: once proved, toward a peer that answers with errors, not with an end.

        With bidi the peer may speak as the target afterwards, so a target that only a certificate
        proves needs one here (BIDI-20). That it is the same server at all, the caller has found.
        """
        rule = self.policy.rule(pair.target)
        return (
            self.offers.errors
            and self.policy.dialback
            and bool(self.grants.send and self.stream_id)
            and self.phase not in (Phase.CLOSING, Phase.CLOSED)
            and pair not in self.grants.send
            and not rule.deny
            and (rule.bidi or not self.is_bidi)
            and (not rule.require_certificate or self.evidence.proves(pair.target).valid)
        )

    def accepts_keys(self) -> bool:
        """With bidi the peer may prove further pairs here (BIDI-15)."""
        return self.is_bidi

    def speaks_for(self, domain: str) -> bool:
        """BIDI-14: a domain that we proved here, and no other hosted one."""
        return any(domain == pair.sender for pair in self.grants.send)

    def ours_accepted(self, pair: DomainPair) -> None:
        """The peer answered our key: valid."""
        self.targets.add(pair.target)
        self._accepted(pair, "dialback")

    def _accepted(self, pair: DomainPair, mechanism: str) -> None:
        """Stanzas of our pair may leave; with bidi those of its inverse may come (BIDI-11)."""
        self.mechanism = self.mechanism or mechanism
        self._proved()
        self._may_send(pair, mechanism)
        for inverse in bidi.acceptable((pair,), self.is_bidi):
            self._may_receive(inverse, mechanism)
        if self.policy.stream_management and self.offers.management:
            self.management.enable(*self.lost)
        self._send_waiting_verifications()

    def peer_proved(self, pair: DomainPair, mechanism: str) -> None:
        """The peer proved a further pair on our bidi stream: both directions open (BIDI-16)."""
        self._may_receive(pair, mechanism)
        if self.policy.rule(pair.sender).bidi:
            self._may_send(pair.inverse(), mechanism)

    # --- verification ---

    def _send_waiting_verifications(self) -> None:
        waiting, self._waiting_verifications = self._waiting_verifications, []
        for pair, stream_id, key in waiting:
            self._dialback.send_verify(pair, stream_id, key, self._now)


def _offers(features: etree.Element | None, before: Offers) -> Offers:
    """What was offered before, and what is offered now."""
    if features is None:
        return before
    known = features.find(DIALBACK_FEATURE_TAG)
    return Offers(
        external=before.external or _has_external(features),
        bidi=before.bidi or any(features.find(tag) is not None for tag in bidi.FEATURE_TAGS),
        dialback=before.dialback or known is not None,
        limits=before.limits or limits.are_announced(features),
        management=features.find(MANAGEMENT_FEATURE_TAG) is not None,
        errors=before.errors or (known is not None and known.find("{*}errors") is not None),
    )


def _has_external(features: etree.Element) -> bool:
    path = f"{external.MECHANISMS_TAG}/{external.MECHANISM_TAG}"
    return any((found.text or "").strip() == "EXTERNAL" for found in features.iterfind(path))


def _required_unknown(features: etree.Element | None) -> str:
    """The name of a feature that must be negotiated and that we do not know, or "" (FEA-05)."""
    for feature in features if features is not None else ():
        if feature.tag not in _KNOWN_FEATURES and feature.find("{*}required") is not None:
            return local_name(feature)
    return ""


def _first_child(element: etree.Element) -> str:
    for child in element:
        return local_name(child)
    return "not-authorized"
