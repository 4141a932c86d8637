"""Self-signed certificates on disk, where the configuration looks for them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

BOTH_USES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


def write_certificate(
    certificate: Path,
    key: Path,
    *,
    names: tuple[str, ...] = (),
    days: int = 30,
    uses: tuple[ObjectIdentifier, ...] = BOTH_USES,
) -> None:
    """A certificate for `names` (default: the file's) that ends in `days`, and its key.

    Negative days: it has ended. No `uses`: it has no extended key usage.
    """
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, certificate.stem)])
    end = datetime.now(UTC) + timedelta(days=days, hours=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=400))
        .not_valid_after(end)
    )
    if uses:
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    covered = [x509.DNSName(each) for each in names or (certificate.stem,)]
    builder = builder.add_extension(x509.SubjectAlternativeName(covered), critical=False)
    signed = builder.sign(private, hashes.SHA256())
    certificate.parent.mkdir(parents=True, exist_ok=True)
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
