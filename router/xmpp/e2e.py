"""End-to-end XML streams (XEP-0246): both roles, over whatever transport Jingle has agreed on.

The address of the peer was proved outside, before the stream began, so there is no SASL here; TLS
is begun inside by STARTTLS. Verbs of the other cores. Called by the acceptor's end-to-end service.
"""

from collections.abc import Callable, Mapping
from typing import Final
from xml.etree import ElementTree as etree

from router.xmpp import jid, names, writer
from router.xmpp.e2e_ends import Ends
from router.xmpp.errors import MisuseError, StanzaError, StreamError
from router.xmpp.events import (
    Event,
    Ignored,
    PairAuthorised,
    RunReceived,
    StanzaRefused,
    StartTls,
    StreamReady,
)
from router.xmpp.grants import EXPRESS
from router.xmpp.pair import DomainPair
from router.xmpp.policy import Policy
from router.xmpp.reader import Counts, Faulty, Header, Run, local_name
from router.xmpp.s2s import speaks_version_1
from router.xmpp.stanza import Stanza, cut
from router.xmpp.states import E2E_INITIATOR, E2E_RECIPIENT, Input, Phase
from router.xmpp.xmlstream import STARTTLS_TAG, XmlStream

_FEATURES_TAG = f"{{{names.STREAMS}}}features"
_NESTING: Final = frozenset({names.JINGLE, names.JINGLE_0, names.IBB, names.BYTESTREAMS})
_NO_NESTING: Final = StanzaError.of("service-unavailable", "no stream inside a stream")


class EndToEndStream(XmlStream):
    """What both ends do alike. `policy` is the s2s policy with `tls_required` of `[e2e]`.

    Stanzas pass from and to exactly the peer's address, and both ways for the pairs of `ends`
    (E2E-04). `direct_tls`: TLS is the first thing on the transport.
    """

    NAMESPACE = names.CLIENT

    def __init__(
        self,
        policy: Policy,
        new_id: Callable[[], str],
        ends: Ends,
        now: float,
        *,
        direct_tls: bool = False,
    ) -> None:
        self.ends = ends  # the reader is told of them
        phase = Phase.DIRECT_TLS if direct_tls else Phase.PLAIN_HEADER
        super().__init__(policy, new_id, phase, now)
        self._speaks_features = True
        self._rule = policy.rule(ends.peer_domain)
        self._local_domain = ends.local_domain

    # --- sending ---

    def may_send(self, pair: DomainPair) -> bool:
        """Whether stanzas of `pair` may leave here now, if `may_send_to` where they go."""
        return super().may_send(pair) or (
            self.phase is Phase.OPEN
            and pair.target == self.ends.peer_domain
            and pair.sender in self.policy.perspective.ours
        )

    def may_send_to(self, address: str) -> bool:
        """Whether stanzas to this very address may leave here now, from any hosted domain."""
        return self.phase is Phase.OPEN and self.ends.is_peer(address)

    def send_run(self, pair: DomainPair, octets: bytes, stanzas: int) -> None:
        """Queue so many neutral stanzas that may be sent here. MisuseError for any other."""
        if pair not in self.grants.send:
            for stanza in cut(octets):
                if not self.ends.is_peer(stanza.attributes["to"]):
                    raise MisuseError(f"this stream goes to {self.ends.peer} alone")
        super().send_run(pair, octets, stanzas)

    # --- negotiation ---

    def _needs_tls(self) -> bool:
        return self.policy.tls_required or self._rule.require_certificate

    def _check_header(self, header: Header) -> None:
        """The negotiated addresses or none, and TLS where it is wanted (E2E-01, JXS-07)."""
        if header.fault is not None:
            raise header.fault
        self._speaks_features = speaks_version_1(header)
        self._check_addresses(header)
        if self._needs_tls() and not (self.is_encrypted() or self._speaks_features):
            raise StreamError("policy-violation", "TLS is required")

    def _check_addresses(self, header: Header) -> None:
        sender, target = header.attributes.get("from"), header.attributes.get("to")
        if sender is not None and not self.ends.may_name_peer(sender):
            raise StreamError("invalid-from", "'from' is not who this stream was agreed with")
        if target is not None and not self.ends.may_name_local(target):
            raise StreamError("host-unknown", "'to' is not whom this stream was agreed with")

    def _header_names(self) -> tuple[str, str | None]:
        """What our header calls us, and the peer."""
        return self.ends.local, self.ends.peer

    def _secured(self) -> None:
        verdict = self.evidence.proves(jid.bare(self.ends.peer))
        if self._rule.require_certificate and not verdict.valid:
            raise StreamError("policy-violation", f"certificate of the peer: {verdict.reason}")

    def _opened(self) -> None:
        """Nothing is left to negotiate: stanzas pass both ways."""
        self._move(Input.SUCCESS)
        self.mechanism = EXPRESS
        self._proved()
        self._reader.hears_stanzas = True
        certified = self.evidence.proves(jid.bare(self.ends.peer)).valid
        self.emit(StreamReady(self.ends.peer, self.is_encrypted(), certified))
        for pair in sorted(self.ends.pairs):
            self.grants.send[pair] = self.grants.receive[pair.inverse()] = EXPRESS
            self.emit(PairAuthorised(pair, True, EXPRESS))
            self.emit(PairAuthorised(pair.inverse(), False, EXPRESS))

    # --- stanzas ---

    def _defaults(self) -> Mapping[str, str]:
        return {"from": self.ends.peer, "to": self.ends.local}

    def _received_run(self, run: Run) -> None:
        self._check_received(run.pair)
        if run.pair in self.grants.receive and run.pair.target != self._local_domain:
            self.emit(RunReceived(run.pair, run.counts, run.octets))
        else:
            self._received_singly(run)

    def _received_singly(self, run: Run) -> None:
        """Look at each stanza's own address, and for streams that would be inside this one."""
        passed: list[Stanza] = []
        try:
            for stanza in cut(run.octets):
                self._check_sender(run.pair, stanza)
                if run.pair.target != self._local_domain or not _would_nest(stanza):
                    passed.append(stanza)
                    continue
                self._pass_on(run.pair, passed)
                passed = []
                self.emit(StanzaRefused(run.pair, stanza.octets, _NO_NESTING))
        finally:
            self._pass_on(run.pair, passed)

    def _pass_on(self, pair: DomainPair, stanzas: list[Stanza]) -> None:
        if stanzas:
            counts = sum((Counts.one(stanza.kind) for stanza in stanzas), Counts(0, 0, 0))
            self.emit(RunReceived(pair, counts, b"".join(stanza.octets for stanza in stanzas)))

    def _received_faulty(self, faulty: Faulty) -> None:
        self._check_received(faulty.pair)
        self._check_sender(faulty.pair, next(cut(faulty.octets)))
        self.emit(StanzaRefused(faulty.pair, faulty.octets, faulty.error))

    def _check_received(self, pair: DomainPair) -> None:
        """RTE-04: for somebody here. The first stanza in plaintext says that no TLS will come."""
        if self.phase is Phase.PLAIN:
            self._opened()
        if pair not in self.grants.receive and pair.target not in self.policy.perspective.ours:
            raise StreamError("host-unknown", "stanza for a domain that is not served here")

    def _check_sender(self, pair: DomainPair, stanza: Stanza) -> None:
        """E2E-04: where the pair is not granted whole, exactly the peer may say anything."""
        if pair not in self.grants.receive and not self.ends.is_peer(stanza.attributes["from"]):
            raise StreamError("invalid-from", "stanza from an address that is not the peer's")


class RecipientStream(EndToEndStream):
    """The end that the peer opened the stream to; TLS server."""

    TABLE = E2E_RECIPIENT

    def _received_header(self, header: Header) -> None:
        self._check_header(header)
        self._move(Input.HEADER)
        self._send_header()
        if self.is_encrypted():
            self._offer()
            self._opened()
        elif self._needs_tls():
            self._offer(writer.STARTTLS_REQUIRED_FEATURE)
        elif self._speaks_features:
            self._offer(writer.STARTTLS_FEATURE)
            self._await_choice()
        else:
            self._opened()

    def _offer(self, *features: str) -> None:
        if self._speaks_features:
            self.write(writer.features(*features))

    def _await_choice(self) -> None:
        """STARTTLS or a stanza comes next, whenever; until then nothing is sent (E2E-02)."""
        self._handshake_deadline = None
        self._reader.limits = self.policy.limits
        self._reader.hears_stanzas = True

    def _send_header(self) -> None:
        self._header_sent = True
        self.stream_id = self._new_id()
        sender, target = self._header_names()
        self._out.append(
            writer.client_header(
                sender=sender,
                target=target,
                stream_id=self.stream_id,
                version="1.0" if self._speaks_features else None,
            )
        )

    def _received_element(self, element: etree.Element) -> None:
        if element.tag != STARTTLS_TAG:
            self.emit(Ignored(f"unknown element {element.tag!r}"))
            return
        self._answer_starttls(element, offered=self._speaks_features)
        if self.phase is Phase.TLS:
            self._handshake_deadline = self._now + self.policy.handshake_timeout_s


class InitiatorStream(EndToEndStream):
    """The end that opens the stream: begin with `open()`; TLS client."""

    TABLE = E2E_INITIATOR

    def open(self) -> list[Event]:
        """Begin: our header, or the request to start TLS first."""
        if self.phase is Phase.DIRECT_TLS:
            self.emit(StartTls())
        else:
            self._send_header()
        return self._take_events()

    def _send_header(self) -> None:
        self._header_sent = True
        sender, target = self._header_names()
        self._out.append(writer.client_header(sender=sender, target=target, stream_id=None))

    def _secured(self) -> None:
        super()._secured()
        self._send_header()

    def _received_header(self, header: Header) -> None:
        self._check_header(header)
        self.stream_id = header.attributes.get("id", "")
        if self.phase is Phase.CLOSING:
            return
        self._move(Input.HEADER)
        if not self._speaks_features:
            self._move(Input.FEATURES)
            self._opened()

    def _received_element(self, element: etree.Element) -> None:
        if element.tag == _FEATURES_TAG and self._may(Input.FEATURES):
            self._move(Input.FEATURES)
            self._negotiate(element)
        elif not self._took_starttls_answer(element):
            self.emit(Ignored(f"unexpected element {element.tag!r}"))

    def _negotiate(self, features: etree.Element) -> None:
        """TLS first; asked for where it is needed even if nobody offers it (TLS-08)."""
        offered = features.find(STARTTLS_TAG) is not None
        if self.phase is Phase.PLAIN and (offered or self._needs_tls()):
            self._move(Input.STARTTLS)
            self.write(writer.STARTTLS)
            return
        for feature in features:
            if feature.find("{*}required") is not None:
                name = local_name(feature)
                raise StreamError("unsupported-feature", f"required and unknown: {name}")
        self._opened()


def _would_nest(stanza: Stanza) -> bool:
    """Whether this asks for a Jingle session or a bytestream (any version that we know)."""
    if stanza.kind != "iq" or stanza.attributes.get("type") != "set":
        return False
    try:
        payloads = list(etree.fromstring(stanza.octets))
    except etree.ParseError:  # a namespace with "}" in it, which none of these has
        return False
    return any(payload.tag[1:].partition("}")[0] in _NESTING for payload in payloads)
