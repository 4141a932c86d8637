"""The certificates a configuration needs: where each hosted domain's is, and whether it is usable.

Called by `router.config_file` while it reads an operator's file, and by the command line.
"""

from itertools import chain
from pathlib import Path

from router.config import Config, Tls
from router.config_plain import Refuse
from router.xmpp import jid
from router.xmpp.perspective import BELOW


def certificate_of(tls: Tls, domain: str) -> tuple[Path, Path] | None:
    """Where the certificate and key of a hosted domain are: its own, else any that cover it."""
    name = jid.ascii_domain(domain)
    flat = ((file, file.with_suffix(".key")) for file in tls.certificates.glob("*.crt"))
    nested = tls.certificates.glob("*/fullchain.pem")
    others = (*flat, *((file, file.with_name("privkey.pem")) for file in nested))
    own = (pair for pair in tls.certificate_files(domain) if pair[0].exists())
    covering = (
        pair for pair in others if {name, f"*.{name.partition('.')[2]}"} & _dns_names(pair[0])
    )
    return next(chain(own, covering), None)


def check_certificates(config: Config, refuse: Refuse) -> None:
    """Tell `refuse` what is missing or unusable, the trust anchors included."""
    key, directory = ("tls", "certificates"), config.tls.certificates
    if not directory.is_dir():
        refuse(key, f"there is no directory {directory}")
    else:
        for domain in (each for each in config.hosted if not each.startswith(BELOW)):
            found = certificate_of(config.tls, domain)
            own = config.tls.certificate_files(domain)[0][0]
            missing = f"there is no {own}, nor another certificate that covers it"
            if fault := _pem_fault(*found) if found else missing:
                refuse(key, f"{domain}: {fault}")
    tables = {"tls": config.tls.trust_anchors, "inside": config.inside.trust_anchors}
    for table, anchors in tables.items():
        if anchors not in (None, "system") and (fault := _pem_fault(Path(anchors))):
            refuse((table, "trust_anchors"), fault)


def _dns_names(certificate: Path) -> set[str]:
    from cryptography.x509 import DNSName, load_pem_x509_certificates
    from cryptography.x509 import SubjectAlternativeName as Names

    try:
        leaf = load_pem_x509_certificates(certificate.read_bytes())[0]
    except (OSError, ValueError):
        return set()  # no domain's own, so it hinders nobody
    found = (each.value for each in leaf.extensions if isinstance(each.value, Names))
    return {name.lower() for each in found for name in each.get_values_for_type(DNSName)}


def _pem_fault(certificates: Path, key: Path | None = None) -> str:
    # Only who loads a file needs the library, and it takes longer to import than all the rest.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificates

    path = certificates
    try:
        leaf = load_pem_x509_certificates(certificates.read_bytes())[0]
        if key:
            path = key
            private = load_pem_private_key(key.read_bytes(), password=None)
            if private.public_key() != leaf.public_key():
                return f"{key} is not the key of {certificates}"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return f"{path} is unusable: {error}"
    return ""
