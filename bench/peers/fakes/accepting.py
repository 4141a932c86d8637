"""A stream that the other side opened: what a fake offers there, and what it takes."""

import base64
import binascii
import secrets
from enum import Enum

from bench.peers.fakes import words
from bench.peers.fakes.link import Link
from bench.peers.fakes.reading import Element, Header
from bench.peers.fakes.stream import Pair, Server
from bench.peers.fakes.verifying import ServerStream


class _Sasl(Enum):
    NONE = 0
    CHALLENGED = 1
    SUCCEEDED = 2


class AcceptedStream(ServerStream):
    """One stream somebody opened to us."""

    def __init__(self, server: Server, link: Link, number: int) -> None:
        super().__init__(server, link, number, initiated=False)
        self._sasl = _Sasl.NONE

    def received_header(self, header: Header) -> None:
        """Answer with our own and with what is on offer now."""
        given = header.attributes
        self.remote, self.local = given.get("from", ""), given.get("to", "")
        self.id = secrets.token_hex(8)
        ours = words.header(self.local, self.remote, self.id)
        if self.local not in self.server.domains:
            self.write(ours)
            self.fail("host-unknown")
            return
        self.write(ours, f"<stream:features>{''.join(self._features())}</stream:features>")
        if self._sasl is _Sasl.SUCCEEDED and not self.profile.sends_before_the_header:
            self.peer_proved(self.header_pair.inverse(), "external")

    def negotiate(self, element: Element) -> None:
        """STARTTLS, bidi and SASL, in whatever order the profile lets pass."""
        match element.namespace, element.name:
            case words.TLS, "starttls" if not self.link.is_encrypted:
                self.write(words.PROCEED)
                self.wants_tls = True
            case ((words.BIDI | words.BIDI_FEATURE), "bidi"):
                self._received_bidi(element.namespace)
            case words.SASL, "auth" if self.link.is_encrypted and not self.receives:
                self._received_identity(element.text.strip())
            case words.SASL, "response" if self._sasl is _Sasl.CHALLENGED:
                self._judge(element.text.strip())
            case _:
                self.fail(self.profile.unknown_element)

    def peer_proved(self, pair: Pair, mechanism: str) -> None:
        """Stanzas may come; with bidi, some may go."""
        self.mechanism = self.mechanism or mechanism
        self.receives.add(pair)
        back = pair.inverse()
        if self.is_bidi and (back == self.header_pair or not self.profile.bidi_is_the_header_pairs):
            self.ours_accepted(back)

    def ours_accepted(self, pair: Pair) -> None:
        """Stanzas of our own may leave on a bidi stream, and be answered on it."""
        self.sends.add(pair)
        self.receives.add(pair.inverse())
        self.server.may_send(self, pair)

    def _features(self) -> list[str]:
        profile = self.profile
        errors = "<errors/>" if profile.offers_dialback_errors else ""
        dialback = f"<dialback xmlns='urn:xmpp:features:dialback'>{errors}</dialback>"
        bidi = [f"<bidi xmlns='{words.BIDI_FEATURE}'/>"] if profile.offers_bidi else []
        known = [dialback] if profile.offers_dialback else []
        if self._sasl is _Sasl.SUCCEEDED:
            return [*(bidi if profile.offers_bidi_after_proof else []), *known]
        if not self.link.is_encrypted:
            if profile.requires_tls:
                return [f"<starttls xmlns='{words.TLS}'><required/></starttls>"]
            return [
                words.STARTTLS,
                *(bidi if profile.offers_bidi_in_plaintext else []),
                *known,
            ]
        external = profile.offers_external_to_all or self._names(self.remote)
        return [*([words.EXTERNAL] if external else []), *bidi, *known]

    def _received_bidi(self, namespace: str) -> None:
        profile = self.profile
        in_time = profile.takes_late_bidi or not self.receives
        if profile.offers_bidi and namespace == profile.bidi_accepted and in_time:
            self.is_bidi = True
        else:
            self.fail(profile.unknown_element)

    def _received_identity(self, data: str) -> None:
        if data not in ("", "=") or self.profile.empty_authzid == "accepted":
            self._judge(data)
        elif self.profile.empty_authzid == "challenged":
            self._sasl = _Sasl.CHALLENGED
            self.write(words.CHALLENGE)
        else:
            self._refuse("malformed-request")

    def _judge(self, data: str) -> None:
        try:
            identity = base64.b64decode(data).decode() if data.strip("=") else self.remote
        except (binascii.Error, UnicodeDecodeError):
            self._refuse("incorrect-encoding")
            return
        if identity != self.remote:
            self._refuse("invalid-authzid")
        elif not self._names(identity):
            self._refuse("not-authorized")
        else:
            self._sasl = _Sasl.SUCCEEDED
            self.write(words.SUCCESS)
            if self.profile.sends_before_the_header:
                self.peer_proved(self.header_pair.inverse(), "external")
            self.restart()

    def _refuse(self, condition: str) -> None:
        self._sasl = _Sasl.NONE
        self.write(words.sasl_failure(condition))
        if self.profile.closes_after_sasl_failure:
            self.close()
