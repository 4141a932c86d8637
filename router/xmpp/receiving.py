"""The receiving server's side of a stream: a peer connected (RFC 6120, XEP-0178, 0220, 0288)."""

from collections.abc import Callable
from xml.etree import ElementTree as etree

from router.xmpp import bidi, external, limits, writer
from router.xmpp.errors import StreamError
from router.xmpp.events import ClaimRefused, Ignored
from router.xmpp.pair import DomainPair
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.reader import Header
from router.xmpp.s2s import ServerStream, speaks_version_1
from router.xmpp.states import RECEIVING, Input, Phase
from router.xmpp.xmlstream import STARTTLS_TAG, header_domain


class ReceivingStream(ServerStream):
    """One stream a peer opened. `server_name` is the TLS SNI, once there is one, else ""."""

    TABLE = RECEIVING
    IS_INITIATING = False

    def __init__(
        self, policy: Policy, new_id: Callable[[], str], now: float, *, direct_tls: bool = False
    ) -> None:
        phase = Phase.DIRECT_TLS if direct_tls else Phase.PLAIN_HEADER
        super().__init__(policy, new_id, phase, now)
        self.server_name = ""
        self._bidi_offered = False
        self._external_offered = False
        self._challenged = False
        self._attempts = 0
        self._speaks_features = True

    # --- header ---

    def _received_header(self, header: Header) -> None:
        remote, local = header_domain(header, "from"), self._addressed(header)
        if self.phase is not Phase.RESTART_HEADER:  # whatever is wrong, our header names them
            self.remote, self.local = remote or "", local or ""
        if header.fault is not None:
            raise header.fault
        if remote is None:
            raise StreamError("improper-addressing", "'from' is not a domain")
        if local is None:
            raise StreamError("host-unknown", "no such domain here")
        if self.phase is Phase.RESTART_HEADER:
            self._check_unchanged(remote, local)
        self._speaks_features = speaks_version_1(header)
        rule = self.policy.rule(remote)
        self._check_claim(remote, local)
        if rule.deny:
            raise StreamError("policy-violation", "this domain is not admitted here")
        if self.policy.tls_required and not (self.is_encrypted() or self._speaks_features):
            raise StreamError("policy-violation", "TLS is required")
        self._move(Input.HEADER)
        if self.phase is Phase.SECURE:
            self._check_certificate(rule)
        self._send_header()
        if self._speaks_features:
            self.write(writer.features(*self._features(rule)))
        if self.phase is Phase.OPEN:
            self.peer_proved(DomainPair(remote, local), self.mechanism)

    def _check_claim(self, remote: str, local: str) -> None:
        perspective, pair = self.policy.perspective, DomainPair(remote, local)
        if remote and not perspective.admits(pair):
            self.emit(ClaimRefused(pair))
            raise StreamError(perspective.condition, perspective.text)

    def _addressed(self, header: Header) -> str | None:
        """The domain of ours the peer wants, if any; by SNI when the header is silent (STR-03)."""
        wanted = header_domain(header, "to")
        if wanted == "":
            wanted = self.server_name
        return wanted if wanted and wanted in self.policy.perspective.ours else None

    def _check_unchanged(self, remote: str, local: str) -> None:
        """STR-14: the identity that SASL proved is the stream's for good."""
        if remote != self.remote:
            raise StreamError("invalid-from", "'from' changed after authentication")
        if local != self.local:
            raise StreamError("improper-addressing", "'to' changed after authentication")

    def _check_certificate(self, rule: PeerRule) -> None:
        """TLS-09: a peer that only a certificate can prove has none that does."""
        if rule.require_certificate or not self.policy.dialback:
            verdict = self.evidence.proves(self.remote) if self.remote else None
            if verdict is None or not verdict.valid:
                reason = verdict.reason if verdict else "'from' is missing"
                raise StreamError("policy-violation", f"a valid certificate is required: {reason}")

    def _send_header(self) -> None:
        self._header_sent = True
        self.stream_id = self._new_id()
        self._out.append(
            writer.server_header(
                sender=self.local or self.policy.default_domain,
                target=self.remote or None,
                stream_id=self.stream_id,
                version="1.0" if self._speaks_features else None,
            )
        )

    def _features(self, rule: PeerRule) -> list[str]:
        """What is on offer at this stage (FEA-02 to FEA-04)."""
        further = [writer.DIALBACK_FEATURE] if self.policy.dialback else []
        further.append(self.own_limits())
        self._bidi_offered = False
        if self.phase is Phase.PLAIN and self.policy.tls_required:
            return [writer.STARTTLS_REQUIRED_FEATURE]
        if self.policy.stream_management and (self.policy.dialback or self.phase is Phase.OPEN):
            further.append(writer.STREAM_MANAGEMENT_FEATURE)  # SMX-01: stanzas may follow
        if self.phase is Phase.OPEN:
            return further
        self._bidi_offered = rule.bidi
        offered = [writer.BIDI_FEATURE] if rule.bidi else []
        if self.phase is Phase.PLAIN:
            return [writer.STARTTLS_FEATURE, *offered, *further]
        self._external_offered = bool(self.remote) and self.evidence.proves(self.remote).valid
        mechanisms = [writer.EXTERNAL_FEATURE] if self._external_offered else []
        return [*mechanisms, *offered, *further]

    def offered(self) -> tuple[str, ...]:
        """Names of what our latest features offered besides dialback."""
        offers = (("external", self._external_offered), ("bidi", self._bidi_offered))
        return tuple(name for name, is_offered in offers if is_offered)

    def _restart(self) -> None:
        super()._restart()
        self._dialback.forget()
        self._bidi_offered = False
        if self.mechanism == "":  # after TLS, not after SASL
            self.local = self.remote = self.stream_id = ""
            self.is_bidi = False
            self.peer_limits = limits.UNLIMITED

    # --- elements ---

    def _received_element(self, element: etree.Element) -> None:
        if self._received_dialback(element):
            return
        if element.tag == STARTTLS_TAG:
            self._received_starttls(element)
        elif element.tag in bidi.REQUEST_TAGS:
            self._received_bidi(element)
        elif element.tag == external.AUTH_TAG:
            self._received_auth(element)
        elif element.tag == external.RESPONSE_TAG:
            self._received_response(element)
        elif element.tag == external.ABORT_TAG:
            self._refuse_sasl("aborted" if self.phase is Phase.SASL else "not-authorized")
        elif not self.management.take(element):
            self.emit(Ignored(f"unknown element {element.tag!r}"))

    def _received_starttls(self, element: etree.Element) -> None:
        offered = self._speaks_features and not self.grants.proved()
        self._answer_starttls(element, offered=offered)
        if self.phase is Phase.TLS:
            self._dialback.forget()  # a verdict may come while the handshake is under way

    def _received_bidi(self, element: etree.Element) -> None:
        begun = self._attempts > 0 or self._dialback.begun() or self.grants.proved()
        if bidi.request_counts(
            self.phase, offered=self._bidi_offered, already=self.is_bidi, proof_begun=begun
        ):
            self.is_bidi = True
            self.peer_limits = limits.announced(element)
        else:
            self.emit(Ignored("bidi request out of place"))

    # --- SASL ---

    def _received_auth(self, element: etree.Element) -> None:
        if not self.is_encrypted():
            self.write(external.failure("encryption-required"))
            return
        if not self._may(Input.AUTH) or self.grants.proved():
            self.write(external.failure("not-authorized"))
            return
        self._attempts += 1
        if self._attempts > external.ATTEMPTS:
            raise StreamError("policy-violation", "too many authentication attempts")
        self._move(Input.AUTH)
        self._challenged = False
        data = (element.text or "").strip()
        if element.get("mechanism") != "EXTERNAL" or not self._external_offered:
            self._refuse_sasl("invalid-mechanism")
        elif data:
            self._judge(data)
        else:
            self._challenged = True
            self.write(external.EMPTY_CHALLENGE)  # SAS-04

    def _received_response(self, element: etree.Element) -> None:
        if self.phase is Phase.SASL and self._challenged:
            self._judge((element.text or "").strip())
        else:
            self.write(external.failure("not-authorized"))

    def _refuse_sasl(self, condition: str) -> None:
        self.write(external.failure(condition))
        if self.phase is Phase.SASL:
            self._move(Input.FAILURE)

    def _judge(self, data: str) -> None:
        """SAS-03, SAS-08: the identity must be the stream's, the certificate valid right now."""
        condition = external.refusal(data, self.remote)
        proved_meanwhile = self.grants.proved()  # by dialback, during a challenge
        if condition is None and (proved_meanwhile or not self.evidence.proves(self.remote).valid):
            condition = "not-authorized"
        if condition is not None:
            self._refuse_sasl(condition)
            return
        self._move(Input.SUCCESS)
        self.mechanism = "external"
        self.write(external.SUCCESS)
        self._restart()

    # --- authority ---

    def may_ask_for(self, pair: DomainPair) -> bool:
        """BIDI-14: toward a domain that the peer has proved here, once it asked for bidi."""
        return (
            self.is_bidi
            and self.policy.dialback
            and self.policy.rule(pair.target).bidi
            and self.phase not in (Phase.CLOSING, Phase.CLOSED)
            and pair not in self.grants.send
            and any(pair.target == proved.sender for proved in self.grants.receive)
        )

    def accepts_keys(self) -> bool:
        """The peer opened the stream to send on it: it may prove any pair (XEP-0220 §2.6)."""
        return True

    def speaks_for(self, domain: str) -> bool:
        """The peer finds all that is ours behind one connection (XEP-0220 §2.6)."""
        return domain in self.policy.perspective.ours

    def peer_proved(self, pair: DomainPair, mechanism: str) -> None:
        """Accept stanzas of `pair`, and with bidi send those of its inverse.

        Called once the peer knows: after the restarted header, or after db:result valid has been
        written (BIDI-08 to BIDI-10).
        """
        self.mechanism = self.mechanism or mechanism
        self._proved()
        self._may_receive(pair, mechanism)
        both_ways = self.is_bidi and self.policy.rule(pair.sender).bidi
        for inverse in bidi.sendable((pair,), both_ways):
            self._may_send(inverse, mechanism)

    def ours_accepted(self, pair: DomainPair) -> None:
        """The peer took a further domain of ours: both directions open (BIDI-14, BIDI-16)."""
        self._may_send(pair, "dialback")
        self._may_receive(pair.inverse(), "dialback")
