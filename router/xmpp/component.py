"""A component's stream, seen from the server it attaches to (XEP-0114). Verbs of the s2s cores."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from xml.etree import ElementTree as etree

from router.xmpp import names, writer
from router.xmpp.errors import StreamError
from router.xmpp.events import (
    AttachRequested,
    Event,
    Ignored,
    PairAuthorised,
    RunReceived,
    StanzaRefused,
)
from router.xmpp.pair import DomainPair
from router.xmpp.policy import Policy
from router.xmpp.reader import Faulty, Header, Run
from router.xmpp.states import COMPONENT, Input, Phase
from router.xmpp.xmlstream import XmlStream, header_domain

_HANDSHAKE_TAG = f"{{{names.COMPONENT}}}handshake"


class ComponentStream(XmlStream):
    """One component's connection. `secrets` maps each hosted component domain to its secret."""

    TABLE = COMPONENT
    NAMESPACE = names.COMPONENT

    def __init__(
        self,
        policy: Policy,
        new_id: Callable[[], str],
        secrets: Mapping[str, str],
        now: float,
    ) -> None:
        super().__init__(policy, new_id, Phase.PLAIN_HEADER, now)
        self._secrets = secrets
        self.domain = ""

    def answer_attach(self, accepted: bool, now: float) -> list[Event]:
        """Answer `AttachRequested`: False when the domain is attached already (CMP-02)."""
        self._now = now
        if self.phase is not Phase.SASL:
            return []
        if not accepted:
            return self.fail("conflict", "this domain is attached already")
        self._move(Input.SUCCESS)
        self.mechanism = "component"
        self.write(b"<handshake/>")
        self._proved()
        self._reader.hears_stanzas = True
        self.emit(PairAuthorised(DomainPair(self.domain, self.domain), True, "component"))
        return self._take_events()

    def is_attaching(self) -> bool:
        """Whether `AttachRequested` has not been answered yet."""
        return self.phase is Phase.SASL

    def may_send(self, pair: DomainPair) -> bool:
        """Whether the stanzas are for this component, and it is attached."""
        return pair.target == self.domain and self.phase is Phase.OPEN

    def _received_header(self, header: Header) -> None:
        domain = header_domain(header, "to")
        if domain and domain in self._secrets:
            self.domain = domain
        if header.fault is not None:
            raise header.fault
        if not self.domain:
            raise StreamError("host-unknown", "no such component here")
        self._move(Input.HEADER)
        self._send_header()

    def _send_header(self) -> None:
        self._header_sent = True
        self.stream_id = self._new_id()
        self._out.append(
            writer.component_header(
                sender=self.domain or self.policy.default_domain, stream_id=self.stream_id
            )
        )

    def _received_element(self, element: etree.Element) -> None:
        if self._reader.hears_stanzas:
            self.emit(Ignored(f"unknown element {element.tag!r}"))
            return
        if element.tag != _HANDSHAKE_TAG or not self._may(Input.AUTH):
            raise StreamError("not-authorized", "handshake expected")
        given = (element.text or "").strip().encode()
        secret = self._secrets[self.domain]
        wanted = hashlib.sha1(f"{self.stream_id}{secret}".encode()).hexdigest().encode()
        if not hmac.compare_digest(given, wanted):
            raise StreamError("not-authorized", "wrong handshake")
        self._move(Input.AUTH)
        self.emit(AttachRequested(self.domain))

    def _received_run(self, run: Run) -> None:
        self._check_sender(run.pair)
        self.emit(RunReceived(run.pair, run.counts, run.octets))

    def _received_faulty(self, faulty: Faulty) -> None:
        self._check_sender(faulty.pair)
        self.emit(StanzaRefused(faulty.pair, faulty.octets, faulty.error))

    def _check_sender(self, pair: DomainPair) -> None:
        """CMP-04: nothing from another domain."""
        if pair.sender != self.domain:
            raise StreamError("invalid-from", "stanza from a domain that is not the component's")
