"""The only judge of a peer's certificate: chain, dates, key sizes, purpose and names.

OpenSSL's own verdict is never asked (`router.acceptor.tls` lets every handshake through). The
acceptor makes one `Verifier` per set of trust anchors; stream cores ask through `Evidence`.
"""

import contextlib
import datetime
import ssl
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from router.acceptor.certificates.identifiers import IdentifierError, Identifiers, identifiers
from router.xmpp.certificate import NO_CERTIFICATE, Evidence, Verdict

_CACHED_CHAINS: Final = 1024
_CACHE_S: Final = 60.0
_KEY_BYTES: Final = 32
_DAY_S: Final = 86_400
_MAX_INTERMEDIATES: Final = 10
_MIN_RSA_BITS: Final = 2048
_MIN_EC_BITS: Final = 256
_REASON_CHARACTERS: Final = 160
_UNREADABLE: Final = (  # what cryptography raises on a malformed certificate
    ValueError,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)


class TrustAnchorError(ValueError):
    """The configured trust anchors cannot be used; the text says which file and why."""


class Verifier:
    """Judges chains against one set of trust anchors.

    `trust_anchors`: "system" for the public roots, by the rules of the web PKI; or a PEM file that
    replaces them (§13.7.2), by more lenient rules for private authorities, in which a self-signed
    leaf is trusted itself. `clock` tells seconds since the epoch. Raises TrustAnchorError.
    """

    def __init__(self, trust_anchors: str | Path, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._trust(trust_anchors)

    def reload(self, trust_anchors: str | Path) -> list[str]:
        """Judge by these from now on; what is wrong with them, and then the old ones stay."""
        try:
            self._trust(trust_anchors)
        except TrustAnchorError as error:
            return [str(error)]
        return []

    def _trust(self, trust_anchors: str | Path) -> None:
        is_system = trust_anchors == "system"
        anchors = _system_anchors() if is_system else _anchors_in(Path(trust_anchors))
        self._anchor_names = {anchor.subject for anchor in anchors}
        self._policy = (
            PolicyBuilder()
            .store(Store(anchors))
            .extension_policies(
                ca_policy=_authority_policy(is_system), ee_policy=ExtensionPolicy.permit_all()
            )
        )
        self._judged: OrderedDict[bytes, ChainJudgement] = OrderedDict()

    def evidence(self, chain: Sequence[x509.Certificate]) -> Evidence:
        """What the peer's certificates, leaf first, prove; judged anew at each question."""
        return ChainEvidence(self, tuple(chain)) if chain else NO_CERTIFICATE

    def judge_chain(
        self, chain: tuple[x509.Certificate, ...], *, of_account: bool = False
    ) -> "ChainJudgement":
        """Whether the chain is trusted now, names aside; `of_account`: not a server's but a user's.

        The answer is kept for a minute, but never beyond the first expiry in the chain.
        """
        now = self.clock()
        chain = chain[: 1 + _MAX_INTERMEDIATES]
        shown = b"".join(certificate.public_bytes(Encoding.DER) for certificate in chain)
        person = b"account" if of_account else b""
        key = blake2b(shown, digest_size=_KEY_BYTES, person=person).digest()
        judgement = self._judged.get(key)
        if judgement is None or not judgement.judged_at <= now <= judgement.good_until:
            judgement = self._judge(chain, now, of_account)
            self._judged[key] = judgement
            self._judged.move_to_end(key)
            if len(self._judged) > _CACHED_CHAINS:
                self._judged.popitem(last=False)
        return judgement

    def _judge(
        self, chain: tuple[x509.Certificate, ...], now: float, of_account: bool
    ) -> "ChainJudgement":
        try:
            fault = _key_fault(chain[0]) or _purpose_fault(chain[0], of_account)
            return _rejected(fault, now) if fault else self._judge_signatures(chain, now)
        except _UNREADABLE:
            return _rejected("certificate cannot be read", now)

    def _judge_signatures(
        self, chain: tuple[x509.Certificate, ...], now: float
    ) -> "ChainJudgement":
        moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
        verifier = self._policy.time(moment).build_client_verifier()
        try:
            verified = verifier.verify(chain[0], list(chain[1:])).chain
        except VerificationError as error:
            return _rejected(self._in_words(chain, error), now)
        good_until = min(now + _CACHE_S, *map(end_of, verified))
        return ChainJudgement("", any(map(_has_name_constraints, verified[1:])), now, good_until)

    def _in_words(self, chain: tuple[x509.Certificate, ...], error: VerificationError) -> str:
        if any(certificate.issuer in self._anchor_names for certificate in chain):
            # What is cut off is a rendering of the peer's own certificate.
            words = str(error).partition(" (encountered")[0].removeprefix("validation failed: ")
            return f"chain is not valid: {words}"[:_REASON_CHARACTERS]
        if chain[0].issuer == chain[0].subject:
            return "self-signed"
        return "signed by an unknown authority"


@dataclass(frozen=True, slots=True)
class ChainJudgement:
    """A chain's fate. Times are in seconds since the epoch."""

    fault: str
    """Why it is not trusted, or empty."""
    is_constrained: bool
    """An authority in it is bound to certain names."""
    judged_at: float
    good_until: float


def _rejected(fault: str, now: float) -> ChainJudgement:
    return ChainJudgement(fault, False, now, now + _CACHE_S)


class ChainEvidence:
    """`Evidence` of a chain that the peer showed.

    A stream asks about one domain several times within its set-up, so the last answer by which a
    chain was trusted is kept, for as long as the judgement it rests on.
    """

    __slots__ = ("_chain", "_kept", "_names", "_verifier")

    def __init__(self, verifier: Verifier, chain: tuple[x509.Certificate, ...]) -> None:
        self._verifier = verifier
        self._chain = chain
        self._names: Identifiers | None = None
        self._kept: tuple[str, Verdict, ChainJudgement] | None = None

    def proves(self, domain: str) -> Verdict:
        """RFC 6120 §13.7.2, at this moment (XEP-0178 §3)."""
        now = self._verifier.clock()
        if self._kept is not None:
            asked, verdict, judgement = self._kept
            if asked == domain and judgement.judged_at <= now <= judgement.good_until:
                return verdict
        return self._judge(domain, now)

    def names(self) -> frozenset[str]:
        """As `Identifiers.names`; none when they cannot be read."""
        try:
            self._names = self._names or identifiers(self._chain[0])
        except (IdentifierError, *_UNREADABLE):
            return frozenset()
        return self._names.names()

    def _judge(self, domain: str, now: float) -> Verdict:
        leaf = self._chain[0]
        try:
            names = self._names = self._names or identifiers(leaf)
            not_after = end_of(leaf)
            fault = _date_fault(leaf, now)
        except IdentifierError as error:
            return Verdict(False, False, f"certificate is refused: {error}")
        except _UNREADABLE:
            return Verdict(False, False, "certificate cannot be read")
        judgement = self._verifier.judge_chain(self._chain, of_account="@" in domain)
        fault = fault or judgement.fault
        # Name constraints are checked for DNS-IDs alone: beneath one, no other kind proves a name.
        covers = names.covers(domain, only_dns=judgement.is_constrained)
        if not covers and not fault:
            reason = f"certificate is for {names.shown}, not {domain}"
        else:
            reason = fault or f"certificate is valid until {_day(not_after)}"
        verdict = Verdict(not fault, covers, reason, not_after)
        self._kept = (domain, verdict, judgement) if not fault else None
        return verdict


def end_of(certificate: x509.Certificate) -> float:
    """When the certificate ends, in seconds since the epoch."""
    return certificate.not_valid_after_utc.timestamp()


# --- one certificate -----------------------------------------------------------------------------


def _date_fault(certificate: x509.Certificate, now: float) -> str:
    if now > end_of(certificate):
        return f"certificate expired on {_day(end_of(certificate))}"
    if now < (start := certificate.not_valid_before_utc.timestamp()):
        return f"certificate is not valid before {_day(start)}"
    return ""


def _key_fault(certificate: x509.Certificate) -> str:
    """The library measures the keys of authorities; in a leaf it accepts RSA of 1024 bits."""
    match certificate.public_key():
        case ec.EllipticCurvePublicKey(key_size=bits):
            return f"key is too small: EC of {bits} bits" if bits < _MIN_EC_BITS else ""
        case rsa.RSAPublicKey(key_size=bits):
            return f"key is too small: RSA of {bits} bits" if bits < _MIN_RSA_BITS else ""
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return ""
        case _:
            return "key is of a kind that is not accepted"


def _purpose_fault(certificate: x509.Certificate, of_account: bool) -> str:
    """A server proves itself as one in either role; public authorities issue nothing else."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    if _is_for_servers(usage) or (of_account and ExtendedKeyUsageOID.CLIENT_AUTH in usage):
        return ""
    return f"certificate is not for {'clients' if of_account else 'servers'} (extended key usage)"


def _is_for_servers(usage: x509.ExtendedKeyUsage) -> bool:
    return (
        ExtendedKeyUsageOID.SERVER_AUTH in usage
        or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage
    )


def _has_name_constraints(certificate: x509.Certificate) -> bool:
    try:
        certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound:
        return False
    return True


def _day(moment: float) -> str:
    return _named_day(int(moment // _DAY_S))


@lru_cache(maxsize=256)
def _named_day(day: int) -> str:
    return datetime.datetime.fromtimestamp(day * _DAY_S, datetime.UTC).strftime("%Y-%m-%d")


# --- authorities ---------------------------------------------------------------------------------


def _authority_policy(is_system: bool) -> ExtensionPolicy:
    """What an issuing certificate must look like; that cA is asserted, the library always checks.

    The library's default wants clientAuth of an authority when it verifies a "client", and would
    refuse the public authorities that issue for servers only.
    """
    if is_system:
        policy = ExtensionPolicy.webpki_defaults_ca()
    else:
        policy = (
            ExtensionPolicy.permit_all()
            .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
            .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _must_sign_certificates)
        )
    return policy.may_be_present(
        x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _must_issue_for_servers
    )


def _must_sign_certificates(
    policy: Policy, authority: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority may not sign certificates")


def _must_issue_for_servers(
    policy: Policy, authority: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    if usage is not None and not _is_for_servers(usage):
        raise ValueError("an authority does not issue for servers")


def _system_anchors() -> list[x509.Certificate]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    anchors = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some public roots have a serial number of zero
        for der in context.get_ca_certs(binary_form=True):
            with contextlib.suppress(ValueError):
                anchors.append(x509.load_der_x509_certificate(der))
    if not anchors:
        raise TrustAnchorError("the system has no trust anchors; install ca-certificates")
    return anchors


def _anchors_in(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        raise TrustAnchorError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise TrustAnchorError(f"{file} holds no usable certificate: {error}") from None
