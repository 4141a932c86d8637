"""A component's stream, seen from the component (XEP-0114): we serve a domain of another's server.

Verbs of the other cores. Called by the acceptor's end-to-end service, when its address is that
server's. The other end is `router.xmpp.component`.
"""

import hashlib
from xml.etree import ElementTree as etree

from router.xmpp import names, writer
from router.xmpp.errors import StreamError
from router.xmpp.events import Event, Ignored, PairAuthorised, RunReceived, StanzaRefused
from router.xmpp.pair import DomainPair
from router.xmpp.policy import Policy
from router.xmpp.reader import Faulty, Header, Run
from router.xmpp.states import COMPONENT, Input, Phase
from router.xmpp.xmlstream import XmlStream

_HANDSHAKE_TAG = f"{{{names.COMPONENT}}}handshake"


class ComponentClientStream(XmlStream):
    """The connection over which we are `domain` (normalised), with the secret that the server has.

    Begin with `open()`. Ends in `PairAuthorised(domain, domain)`, or in `StreamClosed` before it.
    """

    TABLE = COMPONENT
    NAMESPACE = names.COMPONENT

    def __init__(self, policy: Policy, domain: str, secret: str, now: float) -> None:
        super().__init__(policy, _no_id, Phase.PLAIN_HEADER, now)
        self.domain = domain
        self._secret = secret

    def open(self) -> list[Event]:
        """Begin: our header."""
        self._send_header()
        return self._take_events()

    def may_send(self, pair: DomainPair) -> bool:
        """Whether the stanzas are from this component, and it is attached."""
        return pair.sender == self.domain and self.phase is Phase.OPEN

    def _send_header(self) -> None:
        self._header_sent = True
        self._out.append(writer.component_header(target=self.domain))

    def _received_header(self, header: Header) -> None:
        if header.fault is not None:
            raise header.fault
        self.stream_id = header.attributes.get("id", "")
        if self.phase is Phase.CLOSING:
            return
        self._move(Input.HEADER)
        # Without an id an error is to follow; if none does, this handshake earns one.
        given = hashlib.sha1(f"{self.stream_id}{self._secret}".encode()).hexdigest()
        self.write(f"<handshake>{given}</handshake>".encode())
        self._move(Input.AUTH)

    def _received_element(self, element: etree.Element) -> None:
        if element.tag != _HANDSHAKE_TAG or not self._may(Input.SUCCESS):
            self.emit(Ignored(f"unexpected element {element.tag!r}"))
            return
        self._move(Input.SUCCESS)
        self.mechanism = "component"
        self._proved()
        self._reader.hears_stanzas = True
        self.emit(PairAuthorised(DomainPair(self.domain, self.domain), True, "component"))

    def _received_run(self, run: Run) -> None:
        self._check_addresses(run.pair)
        self.emit(RunReceived(run.pair, run.counts, run.octets))

    def _received_faulty(self, faulty: Faulty) -> None:
        self._check_addresses(faulty.pair)
        self.emit(StanzaRefused(faulty.pair, faulty.octets, faulty.error))

    def _check_addresses(self, pair: DomainPair) -> None:
        """RTE-02, RTE-03: for us, and from nobody whom we serve ourselves."""
        if pair.target != self.domain:
            raise StreamError("host-unknown", "stanza for a domain that is not the component's")
        if pair.sender in self.policy.perspective.ours:
            raise StreamError("invalid-from", "stanza from a domain that is hosted here")


def _no_id() -> str:
    """The server names the stream."""
    return ""
