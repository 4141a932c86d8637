"""The identifiers of a certificate, and whether one of them is a domain (RFC 6120 §13.7.1.2).

An account, the other end of an end-to-end stream, is one of them or it is not (§13.7.1.4).

Only subjectAltName counts, never the CN. Whether the certificate is to be trusted is
`router.acceptor.certificates.verdict`'s question; `certificates` asks here about our own.
"""

import contextlib
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1
from service_identity import CertificateError
from service_identity.hazmat import DNS_ID, SRV_ID, DNSPattern, SRVPattern

from router.xmpp import jid

_XMPP_ADDR: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
_SRV_NAME: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")
_SERVICE: Final = "_xmpp-server."
_NAMES_SHOWN: Final = 3
_NAME_SHOWN_CHARACTERS: Final = 80


class IdentifierError(ValueError):
    """The certificate's subjectAltName cannot be read, or is made to deceive."""


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What a subjectAltName names, of the kinds that XMPP knows."""

    dns: tuple[DNSPattern, ...]
    srv: tuple[SRVPattern, ...]
    xmpp: frozenset[str]
    """XmppAddr, normalised by `jid.domain`."""
    shown: str
    """The first few of them for people, harmless to print."""
    accounts: frozenset[str] = frozenset()
    """XmppAddr with a localpart, normalised by `jid.normal`."""

    def covers(self, domain: str, *, only_dns: bool = False) -> bool:
        """Whether one identifier is `domain`, compared as A-labels; any one is enough.

        RFC 6120 §13.7.1.2, RFC 9525 §6.3: a wildcard stands for exactly the left-most label. With
        `only_dns`, SRV-ID and XmppAddr do not count. For a bare address, see `accounts`.
        """
        if "@" in domain:
            return not only_dns and domain in self.accounts
        try:
            normal, a_labels = jid.domain(domain), jid.ascii_domain(domain)
        except jid.JidError:
            return False
        if not only_dns and normal in self.xmpp:
            return True
        if jid.is_address(a_labels):
            return False
        exact = a_labels.encode("ascii")
        if any(pattern.pattern == exact for pattern in self.dns):
            return True
        try:
            reference = DNS_ID(a_labels)
            if any(reference.verify(pattern) for pattern in self.dns):
                return True
            if only_dns or not self.srv:
                return False
            service = SRV_ID(_SERVICE + a_labels)
        except ValueError:  # an address
            return False
        return any(service.verify(pattern) for pattern in self.srv)

    def names(self) -> frozenset[str]:
        """All of them as A-labels, a wildcard as it stands: to find by, they prove nothing."""
        patterns = (*self.dns, *(service.dns_pattern for service in self.srv))
        return frozenset(pattern.pattern.decode("ascii") for pattern in patterns) | {
            jid.ascii_domain(name) for name in self.xmpp
        }


def identifiers(certificate: x509.Certificate) -> Identifiers:
    """The identifiers of `certificate`; those of no valid form are left out.

    Raises IdentifierError when the extension is unreadable, or any name holds a NUL.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Identifiers((), (), frozenset(), "no domain")
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise IdentifierError("names cannot be read") from None
    dns: list[DNSPattern] = []
    srv: list[SRVPattern] = []
    xmpp: set[str] = set()
    accounts: set[str] = set()
    shown: list[str] = []
    for name in names:
        text = _text(name)
        if "\0" in text:
            raise IdentifierError("a name contains a NUL")
        if len(shown) < _NAMES_SHOWN and text:
            shown.append(text if text.isprintable() else ascii(text))
        with contextlib.suppress(CertificateError, UnicodeError, jid.JidError):
            if isinstance(name, x509.DNSName):
                dns.append(_dns_pattern(text.removesuffix(".")))
            elif isinstance(name, x509.OtherName) and name.type_id == _XMPP_ADDR:
                if "@" in text and jid.bare(text) == text:
                    accounts.add(jid.normal(text))
                else:
                    xmpp.add(jid.domain(text))
            elif isinstance(name, x509.OtherName) and text.lower().startswith(_SERVICE):
                srv.append(SRVPattern.from_bytes(text.removesuffix(".").encode("ascii")))
    listed = ", ".join(text[:_NAME_SHOWN_CHARACTERS] for text in shown) or "no domain"
    return Identifiers(tuple(dns), tuple(srv), frozenset(xmpp), listed, frozenset(accounts))


def _dns_pattern(name: str) -> DNSPattern:
    """As the library makes it, which first looks long for an address in what is plainly a name."""
    with contextlib.suppress(jid.JidError):
        normal = jid.domain(name)
        if normal == name.lower() and not jid.is_address(normal):
            return DNSPattern(normal.encode("ascii"))
    return DNSPattern.from_bytes(name.encode("ascii"))


def _text(name: x509.GeneralName) -> str:
    """The characters of a name that has some, else the empty string."""
    if isinstance(name, x509.DNSName | x509.RFC822Name | x509.UniformResourceIdentifier):
        return name.value
    if isinstance(name, x509.OtherName):
        with contextlib.suppress(ValueError):
            if name.type_id == _XMPP_ADDR:
                return asn1.decode_der(str, name.value)
            if name.type_id == _SRV_NAME:
                return asn1.decode_der(asn1.IA5String, name.value).as_str()
    return ""
