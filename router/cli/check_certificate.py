"""A certificate in plain words: whom it names, until when, what for. Ours and those of peers.

Whether it is to be trusted is `router.acceptor.certificates`'s. Called for `causeway check`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from router.acceptor.certificates.identifiers import IdentifierError, identifiers
from router.log import escape

WARN_DAYS: Final = 14
_NAMES_SHOWN: Final = 16
_UNREADABLE: Final = (
    ValueError,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)


def described(leaf: x509.Certificate) -> dict[str, Any]:
    """Fit for JSON; texts are escaped. What cannot be read is left out, `fault` says so."""
    left = leaf.not_valid_after_utc - datetime.now(UTC)
    said: dict[str, Any] = {
        "expires": leaf.not_valid_after_utc.isoformat(),
        "days_left": left.days,
    }
    try:
        said |= _uses(leaf)
        said |= {
            "key": _key(leaf),
            "names": _names(leaf),
            "issuer": escape(leaf.issuer.rfc4514_string()),
        }
    except (IdentifierError, *_UNREADABLE) as error:
        said["fault"] = escape(str(error))
    return said


def expiry_warning(said: Mapping[str, Any]) -> str:
    """What to say of a certificate that soon ends, or has ended; else nothing."""
    days = said["days_left"]
    if days < 0:
        return "has expired"
    return f"expires in {days} days" if days < WARN_DAYS else ""


def purposes(said: Mapping[str, Any]) -> str:
    """ "server and client", "neither server nor client"…"""
    uses = [name for name in ("server", "client") if said.get(f"{name}_auth")]
    return " and ".join(uses) or "neither server nor client"


def _uses(leaf: x509.Certificate) -> dict[str, bool]:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:  # RFC 5280 §4.2.1.12: without the extension, any use
        return {"server_auth": True, "client_auth": True}
    any_use = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage
    return {
        "server_auth": any_use or ExtendedKeyUsageOID.SERVER_AUTH in usage,
        "client_auth": any_use or ExtendedKeyUsageOID.CLIENT_AUTH in usage,
    }


def _key(leaf: x509.Certificate) -> str:
    match leaf.public_key():
        case rsa.RSAPublicKey(key_size=bits):
            return f"RSA {bits}"
        case ec.EllipticCurvePublicKey(curve=curve):
            return f"EC {curve.name}"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case ed448.Ed448PublicKey():
            return "Ed448"
        case other:
            return type(other).__name__


def _names(leaf: x509.Certificate) -> list[str]:
    """The identifiers that count for XMPP (RFC 6120 §13.7.1.2), the kind said if not a DNS-ID."""
    found = identifiers(leaf)
    names = [pattern.pattern.decode("ascii", "replace") for pattern in found.dns]
    for pattern in found.srv:
        service = pattern.name_pattern.decode("ascii", "replace")
        names.append(f"SRV _{service}.{pattern.dns_pattern.pattern.decode('ascii', 'replace')}")
    names += [f"XmppAddr {domain}" for domain in sorted(found.xmpp)]
    return [escape(name) for name in names[:_NAMES_SHOWN]]
