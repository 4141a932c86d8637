"""A certificate chain with its private key, from two PEM files. `certificates` decides whose."""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from router.acceptor.certificates.identifiers import IdentifierError, Identifiers, identifiers

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)


class CredentialError(ValueError):
    """A file cannot be used; the text names it and says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Credential:
    """What proves us. Equal only to itself."""

    file: Path
    chain: tuple[x509.Certificate, ...]
    """Leaf first."""
    key: PrivateKey
    identifiers: Identifiers


def read_credential(certificate_file: Path, key_file: Path) -> Credential:
    """The chain and key in these files. Raises CredentialError."""
    file = certificate_file
    try:
        chain = x509.load_pem_x509_certificates(certificate_file.read_bytes())
        names = identifiers(chain[0])
        file = key_file
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except OSError as error:
        raise CredentialError(f"{file}: cannot be read: {error.strerror}") from None
    except IdentifierError as error:
        raise CredentialError(f"{file}: {error}") from None
    except TypeError:
        raise CredentialError(f"{file}: the key is encrypted") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CredentialError(f"{file}: not usable: {error}") from None
    if not isinstance(key, PrivateKey):
        raise CredentialError(f"{file}: a key of a kind that TLS cannot use")
    if key.public_key() != chain[0].public_key():
        raise CredentialError(f"{key_file}: not the key of {certificate_file}")
    return Credential(certificate_file, tuple(chain), key, names)
