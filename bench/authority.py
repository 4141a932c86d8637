"""A throw-away certificate authority for the tests, the demo and the benchmarks.

Makes certificates good and bad on purpose. Nothing here is fit for a real server: keys are written
in the clear and live as long as their directory.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

XMPP_ADDR: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
SRV_NAME: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")

_UTF8_STRING: Final = 0x0C
_IA5_STRING: Final = 0x16
_DAY: Final = datetime.timedelta(days=1)
_PURPOSES: Final = {
    "server": [ExtendedKeyUsageOID.SERVER_AUTH],
    "client": [ExtendedKeyUsageOID.CLIENT_AUTH],
    "both": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    "none": [],
}

_SIGNS_CERTIFICATES: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)

Purpose = Literal["server", "client", "both", "none"]
KeyKind = Literal["ec", "ec224", "ed25519", "rsa1024", "rsa2048"]
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Authority:
    """One root, in `ca.pem` of `directory`; what it issues goes beside it unless told otherwise."""

    directory: Path
    certificate: x509.Certificate
    key: PrivateKey

    @classmethod
    def make(
        cls, directory: Path, name: str = "Throw-away CA", critical: bool = True
    ) -> "Authority":
        """A new root. Not `critical`: BasicConstraints as some private authorities have them."""
        directory.mkdir(parents=True, exist_ok=True)
        key = _new_key("ec")
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=True, path_length=None), critical),
            (_SIGNS_CERTIFICATES, True),
        ]
        certificate = _sign(_name(name), key, _name(name), key, extensions, _in_days(3650))
        authority = cls(directory, certificate, key)
        authority.anchors.write_bytes(_pem(certificate))
        return authority

    @property
    def anchors(self) -> Path:
        """The PEM file to trust."""
        return self.directory / "ca.pem"

    def issue(
        self,
        name: str,
        *,
        into: Path | None = None,
        dns: Sequence[str] | None = None,
        srv: Sequence[str] = (),
        xmpp: Sequence[str] = (),
        eku: Purpose = "server",
        key: KeyKind = "ec",
        not_before: datetime.datetime | None = None,
        not_after: datetime.datetime | None = None,
        self_signed: bool = False,
        issuer: tuple[Path, Path] | None = None,
        intermediate: bool = False,
        intermediate_not_after: datetime.datetime | None = None,
        permitted: Sequence[str] = (),
    ) -> tuple[Path, Path]:
        """Write NAME.crt (leaf first, then any intermediate) and NAME.key; return both paths.

        `dns` is (name,) unless given; with no identifier at all there is no subjectAltName, only
        the CN. `intermediate` puts an authority between, whose name constraints permit the domains
        in `permitted`. `issuer`, the files of another certificate, signs in place of the root.
        """
        into = into or self.directory
        into.mkdir(parents=True, exist_ok=True)
        own = _new_key(key)
        extensions = _leaf_extensions((name,) if dns is None else dns, srv, xmpp, eku)
        signed_by, signer, rest = self.certificate.subject, self.key, b""
        if self_signed:
            signed_by, signer = _name(name), own
        elif issuer:
            above, signer = _read(*issuer)
            signed_by, rest = above.subject, _pem(above)
        elif intermediate:
            above, signer = self._intermediate(permitted, intermediate_not_after or _in_days(365))
            signed_by, rest = above.subject, _pem(above)
        end = not_after or _in_days(90)
        leaf = _sign(_name(name), own, signed_by, signer, extensions, end, not_before)
        certificate_file, key_file = into / f"{name}.crt", into / f"{name}.key"
        certificate_file.write_bytes(_pem(leaf) + rest)
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate_file, key_file

    def _intermediate(
        self, permitted: Sequence[str], not_after: datetime.datetime
    ) -> tuple[x509.Certificate, PrivateKey]:
        key = _new_key("ec")
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (_SIGNS_CERTIFICATES, True),
            # As the public ones are now: for servers alone.
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        ]
        if permitted:
            names = [x509.DNSName(name) for name in permitted]
            extensions.append((x509.NameConstraints(names, None), True))
        subject = _name("Throw-away intermediate CA")
        issuer = self.certificate.subject
        return _sign(subject, key, issuer, self.key, extensions, not_after), key


def _read(certificate_file: Path, key_file: Path) -> tuple[x509.Certificate, PrivateKey]:
    key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    assert isinstance(key, PrivateKey)
    return x509.load_pem_x509_certificate(certificate_file.read_bytes()), key


def _leaf_extensions(
    dns: Sequence[str], srv: Sequence[str], xmpp: Sequence[str], eku: Purpose
) -> list[tuple[x509.ExtensionType, bool]]:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
    names += [x509.OtherName(SRV_NAME, _der(_IA5_STRING, name)) for name in srv]
    names += [x509.OtherName(XMPP_ADDR, _der(_UTF8_STRING, name)) for name in xmpp]
    extensions: list[tuple[x509.ExtensionType, bool]] = []
    if names:
        extensions.append((x509.SubjectAlternativeName(names), False))
    if purposes := _PURPOSES[eku]:
        extensions.append((x509.ExtendedKeyUsage(purposes), False))
    return extensions


def _sign(
    subject: x509.Name,
    key: PrivateKey,
    issuer: x509.Name,
    signer: PrivateKey,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    not_after: datetime.datetime,
    not_before: datetime.datetime | None = None,
) -> x509.Certificate:
    start = not_before or min(_in_days(-2), not_after - _DAY)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
        )
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signer, digest)


def _new_key(kind: KeyKind) -> PrivateKey:
    match kind:
        case "ec":
            return ec.generate_private_key(ec.SECP256R1())
        case "ec224":
            return ec.generate_private_key(ec.SECP224R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "rsa1024":
            return rsa.generate_private_key(65537, 1024)
        case "rsa2048":
            return rsa.generate_private_key(65537, 2048)


def _der(tag: int, text: str) -> bytes:
    octets = text.encode()
    if len(octets) > 127:
        raise ValueError("only short names here")
    return bytes([tag, len(octets)]) + octets


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _in_days(days: int) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + days * _DAY
