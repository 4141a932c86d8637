"""A stream that a fake opens: to send stanzas of a pair, or only to have a key verified."""

import asyncio

from bench.peers.fakes import words
from bench.peers.fakes.link import Link
from bench.peers.fakes.reading import Element, Header
from bench.peers.fakes.stream import Pair, Server
from bench.peers.fakes.verifying import ServerStream


class DialledStream(ServerStream):
    """One stream we open for `pair`.

    `for_keys`: it proves nothing, and `ready` is set where it may be asked about keys. `uses_tls`
    False: not even when it is offered.
    """

    def __init__(
        self,
        server: Server,
        link: Link,
        number: int,
        pair: Pair,
        *,
        for_keys: bool = False,
        uses_tls: bool = True,
    ) -> None:
        super().__init__(server, link, number, initiated=True)
        self.local, self.remote = pair
        self.ready = asyncio.Event()
        self.for_keys = for_keys
        self._uses_tls = uses_tls

    def begin(self) -> None:
        """Our header."""
        self.write(words.header(self.local, self.remote))

    def secured(self) -> None:
        """Our header again."""
        self.begin()

    def received_header(self, header: Header) -> None:
        """Keep the id for keys."""
        self.id = header.attributes.get("id", "")

    def negotiate(self, element: Element) -> None:
        """Features and what follows from them."""
        match element.namespace, element.name:
            case words.STREAMS, "features" if self._is_literal(element, "stream"):
                self._received_features(element)
            case words.TLS, "proceed":
                self.wants_tls = True
            case words.SASL, "challenge":
                data = words.encoded(self.local)
                self.write(f"<response xmlns='{words.SASL}'>{data}</response>")
            case words.SASL, "success":
                self.mechanism = "external"
                self.restart()
                self.begin()
            case words.SASL, "failure":
                self.write(self.send_key(self.header_pair))
            case _:
                self.fail(self.profile.unknown_element)

    def peer_proved(self, pair: Pair, mechanism: str) -> None:
        """A further pair on our bidi stream: both directions."""
        self.receives.add(pair)
        self.sends.add(pair.inverse())
        self.server.may_send(self, pair.inverse())

    def ours_accepted(self, pair: Pair) -> None:
        """Stanzas may go; with bidi, some may come."""
        self.mechanism = self.mechanism or "dialback"
        self.sends.add(pair)
        if self.is_bidi:
            self.receives.add(pair.inverse())
        self.ready.set()
        self.server.may_send(self, pair)

    def _received_features(self, features: Element) -> None:
        profile = self.profile
        drafted = words.BIDI if profile.asks_where_drafted else words.BIDI_FEATURE
        asks = profile.asks_for_bidi and not self.for_keys
        request = self._request() if asks and features.find("bidi", drafted) else ""
        starttls = features.find("starttls", words.TLS) is not None
        if starttls and self._uses_tls and not self.link.is_encrypted:
            early = [request] if request and profile.asks_in_plaintext else []
            self.write(*early, words.STARTTLS)
        elif self.mechanism == "external":
            self.ours_accepted(self.header_pair)
        elif self.for_keys:
            self.ready.set()
        else:
            self._prove(features, request if profile.asks_inside_tls else "")

    def _request(self) -> str:
        limit = self.profile.bidi_limit_bytes
        if limit is None:
            return f"<bidi xmlns='{self.profile.bidi_request}'/>"
        limits = f"<limits xmlns='{words.LIMITS}'><max-bytes>{limit}</max-bytes></limits>"
        return f"<bidi xmlns='{self.profile.bidi_request}'>{limits}</bidi>"

    def _prove(self, features: Element, request: str) -> None:
        self.is_bidi = bool(request)
        mechanisms = features.find("mechanisms", words.SASL)
        offered = mechanisms.children if mechanisms is not None else []
        if self.server.presents_certificate and any(e.text == "EXTERNAL" for e in offered):
            data = words.encoded(self.local) if self.profile.sends_authzid else "="
            proof = words.auth(data)
        else:
            proof = self.send_key(self.header_pair)
        self.write(*([request] if request else []), proof)
