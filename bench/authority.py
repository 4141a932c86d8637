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

Purpose = Literal["server", "client", "both", "none"]
KeyKind = Literal["ec", "ec224", "ed25519", "rsa1024", "rsa2048"]
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Authority:
    """A root, in `ca.pem` of `directory`, or one below it; what it issues goes there, too."""

    directory: Path
    certificate: x509.Certificate
    key: PrivateKey
    between: tuple[x509.Certificate, ...] = ()
    """From this authority up to the root, without the root: what a leaf's file carries along."""

    @classmethod
    def make(
        cls, directory: Path, name: str = "Throw-away CA", critical: bool = True
    ) -> "Authority":
        """A new root. Not `critical`: BasicConstraints as some private authorities have them."""
        directory.mkdir(parents=True, exist_ok=True)
        key = _new_key("ec")
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=True, path_length=None), critical),
            (_key_usage(signs_certificates=True), True),
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
        intermediate: bool = False,
    ) -> tuple[Path, Path]:
        """Write NAME.crt (leaf first, then any intermediate) and NAME.key; return both paths.

        `dns` is (name,) unless given; with no identifier at all there is no subjectAltName, only
        the CN. `intermediate` puts a sound `subordinate` between.
        """
        into = into or self.directory
        into.mkdir(parents=True, exist_ok=True)
        own = _new_key(key)
        extensions = _leaf_extensions((name,) if dns is None else dns, srv, xmpp, eku)
        above = self.subordinate() if intermediate else self
        issuer, signer = above.certificate.subject, above.key
        if self_signed:
            issuer, signer = _name(name), own
        end = not_after or _in_days(90)
        leaf = _sign(_name(name), own, issuer, signer, extensions, end, not_before)
        certificate_file, key_file = into / f"{name}.crt", into / f"{name}.key"
        certificate_file.write_bytes(b"".join(map(_pem, (leaf, *above.between))))
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate_file, key_file

    def subordinate(
        self,
        *,
        ca: bool = True,
        signs_certificates: bool = True,
        eku: Purpose = "server",
        key: KeyKind = "ec",
        permitted: Sequence[str] = (),
        not_after: datetime.datetime | None = None,
    ) -> "Authority":
        """An intermediate like the public ones, for servers alone; each argument spoils it.

        `permitted`: the domains to which name constraints bind it.
        """
        own = _new_key(key)
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=ca, path_length=0 if ca else None), True),
            (_key_usage(signs_certificates), True),
        ]
        if purposes := _PURPOSES[eku]:
            extensions.append((x509.ExtendedKeyUsage(purposes), False))
        if permitted:
            names = [x509.DNSName(name) for name in permitted]
            extensions.append((x509.NameConstraints(names, None), True))
        subject, issuer = _name("Throw-away intermediate CA"), self.certificate.subject
        end = not_after or _in_days(365)
        certificate = _sign(subject, own, issuer, self.key, extensions, end)
        return Authority(self.directory, certificate, own, (certificate, *self.between))


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


def _key_usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


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
