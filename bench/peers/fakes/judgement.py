"""Whether a chain of certificates proves a domain, as a fake sees it: simply, by one trusted CA."""

from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto


class Judge:
    """Trusts the CA certificates of a PEM file; with none, no certificate proves anything."""

    def __init__(self, anchors: Path | None) -> None:
        self._store: crypto.X509Store | None = None
        if anchors is not None:
            self._store = crypto.X509Store()
            for each in x509.load_pem_x509_certificates(anchors.read_bytes()):
                self._store.add_cert(crypto.X509.from_cryptography(each))

    def proves(self, chain: list[crypto.X509], domain: str, *, client_purpose: bool) -> bool:
        """Whether the chain leads to the CA and its leaf names the domain, or its whole level.

        `client_purpose`: an extended key usage without clientAuth does not do.
        """
        if self._store is None or not chain:
            return False
        try:
            crypto.X509StoreContext(self._store, chain[0], chain[1:]).verify_certificate()
        except crypto.X509StoreContextError:
            return False
        leaf = chain[0].to_cryptography()
        return _names(leaf, domain) and not (client_purpose and _is_for_servers_only(leaf))


def _names(leaf: x509.Certificate, domain: str) -> bool:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    _, _, above = domain.partition(".")
    return not {domain, f"*.{above}"}.isdisjoint(found.get_values_for_type(x509.DNSName))


def _is_for_servers_only(leaf: x509.Certificate) -> bool:
    try:
        found = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH not in found
