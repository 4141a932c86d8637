"""Which certificate proves which domain, and why not (RFC 6120 §13.7, RFC 9525)."""

import datetime
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.authority import Authority
from router.acceptor.certificates.verdict import TrustAnchorError, Verifier
from router.xmpp.certificate import NO_CERTIFICATE, Verdict

DOMAIN = "montague.example"
HOUR = datetime.timedelta(hours=1)

Judge = Callable[..., Verdict]


def chain_in(file: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(file.read_bytes())


@pytest.fixture
def judge(authority: Authority) -> Judge:
    """Issue a certificate so, and ask about a domain."""

    def ask(domain: str = DOMAIN, name: str = DOMAIN, **issued: Any) -> Verdict:
        chain = chain_in(authority.issue(name, **issued)[0])
        return Verifier(authority.anchors).evidence(chain).proves(domain)

    return ask


# --- names ---


@pytest.mark.clause("CRT-03")
def test_a_certificate_that_names_no_domain(judge: Judge) -> None:
    verdict = judge(dns=())
    assert verdict.trusted
    assert not verdict.covers
    assert verdict.reason == "certificate is for no domain, not montague.example"


@pytest.mark.clause("CRT-01")
def test_the_srv_target_is_no_reference_identity(judge: Judge) -> None:
    verdict = judge(DOMAIN, "xmpp1.montague.example")
    assert not verdict.covers
    assert verdict.reason == "certificate is for xmpp1.montague.example, not montague.example"


@pytest.mark.clause("CRT-03")
def test_a_nul_in_a_name_refuses_the_certificate(judge: Judge) -> None:
    verdict = judge(dns=[DOMAIN, "montague.example\0.evil.example"])
    assert (verdict.trusted, verdict.covers) == (False, False)
    assert verdict.reason == "certificate is refused: a name contains a NUL"


# --- trust ---


@pytest.mark.clause("CRT-05")
@pytest.mark.parametrize("intermediate", [False, True])
def test_a_chain_to_the_anchor_is_trusted(judge: Judge, intermediate: bool) -> None:
    verdict = judge(intermediate=intermediate)
    assert verdict.valid
    assert verdict.not_after is not None
    assert verdict.not_after > time.time()
    assert verdict.reason.startswith("certificate is valid until 20")


@pytest.mark.clause("CRT-06")
@pytest.mark.parametrize(
    ("eku", "trusted"), [("server", True), ("both", True), ("none", True), ("client", False)]
)
def test_a_server_proves_itself_as_a_server(judge: Judge, eku: str, trusted: bool) -> None:
    assert judge(eku=eku).trusted is trusted


@pytest.mark.clause("E2E-03")
@pytest.mark.parametrize("eku", ["server", "both", "none", "client"])
def test_an_account_proves_itself_as_either(authority: Authority, eku: Any) -> None:
    account = f"romeo@{DOMAIN}"
    chain = chain_in(authority.issue(DOMAIN, eku=eku, xmpp=[account])[0])
    evidence = Verifier(authority.anchors).evidence(chain)
    for _ in range(2):  # what was said of the one is not remembered of the other
        assert evidence.proves(account).valid
        assert evidence.proves(DOMAIN).valid is (eku != "client")
        assert not evidence.proves(f"nurse@{DOMAIN}").valid


@pytest.mark.clause("CRT-05")
def test_self_signed(judge: Judge) -> None:
    verdict = judge(self_signed=True)
    assert (verdict.trusted, verdict.covers) == (False, True)
    assert verdict.reason == "self-signed"


@pytest.mark.clause("CRT-05")
def test_an_unknown_authority(judge: Judge, authority: Authority, tmp_path: Path) -> None:
    stranger = Authority.make(tmp_path, "Another CA")
    chain = chain_in(stranger.issue(DOMAIN)[0])
    verdict = Verifier(authority.anchors).evidence(chain).proves(DOMAIN)
    assert not verdict.trusted
    assert verdict.reason == "signed by an unknown authority"


@pytest.mark.clause("CRT-05")
def test_an_authority_of_the_same_name_is_not_ours(authority: Authority, tmp_path: Path) -> None:
    chain = chain_in(Authority.make(tmp_path).issue(DOMAIN)[0])
    verdict = Verifier(authority.anchors).evidence(chain).proves(DOMAIN)
    assert not verdict.trusted
    assert "chain is not valid" in verdict.reason


@pytest.mark.clause("CRT-05")
def test_private_anchors_replace_the_public_ones(authority: Authority) -> None:
    chain = chain_in(authority.issue(DOMAIN)[0])
    assert not Verifier("system").evidence(chain).proves(DOMAIN).trusted


@pytest.fixture
def as_system(monkeypatch: pytest.MonkeyPatch) -> Callable[[Authority], Verifier]:
    """A verifier whose system store holds this authority alone."""

    def verifier(authority: Authority) -> Verifier:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.anchors))
        monkeypatch.setenv("SSL_CERT_DIR", str(authority.directory / "none"))
        return Verifier("system")

    return verifier


@pytest.mark.clause("CRT-05", "CRT-06")
def test_public_authorities_issue_for_servers_only(
    authority: Authority, as_system: Callable[[Authority], Verifier]
) -> None:
    chain = chain_in(authority.issue(DOMAIN, intermediate=True, eku="server")[0])
    assert as_system(authority).evidence(chain).proves(DOMAIN).valid


@pytest.mark.clause("CRT-05")
def test_public_authorities_follow_the_rules_of_the_web(
    tmp_path: Path, as_system: Callable[[Authority], Verifier]
) -> None:
    authority = Authority.make(tmp_path, critical=False)
    chain = chain_in(authority.issue(DOMAIN)[0])
    assert not as_system(authority).evidence(chain).proves(DOMAIN).trusted


def test_a_system_without_anchors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    with pytest.raises(TrustAnchorError, match="ca-certificates"):
        Verifier("system")


@pytest.mark.clause("CRT-05")
def test_a_missing_intermediate(authority: Authority) -> None:
    chain = chain_in(authority.issue(DOMAIN, intermediate=True)[0])
    verifier = Verifier(authority.anchors)
    assert not verifier.evidence(chain[:1]).proves(DOMAIN).trusted
    # and the failure is not remembered against the same leaf with its intermediate
    assert verifier.evidence(chain).proves(DOMAIN).trusted


def test_a_private_authority_without_critical_constraints(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path, critical=False)
    chain = chain_in(authority.issue(DOMAIN, intermediate=True)[0])
    assert Verifier(authority.anchors).evidence(chain).proves(DOMAIN).valid


def test_a_pinned_leaf_is_trusted_and_issues_nothing(authority: Authority, tmp_path: Path) -> None:
    file, _ = authority.issue(DOMAIN, self_signed=True)
    assert Verifier(file).evidence(chain_in(file)).proves(DOMAIN).valid
    other = chain_in(authority.issue("capulet.example", self_signed=True)[0])
    assert not Verifier(file).evidence(other).proves("capulet.example").trusted


@pytest.mark.clause("CRT-05")
@pytest.mark.parametrize(
    ("spoilt", "fault"),
    [
        ({}, ""),
        ({"ca": False}, "cA must be asserted"),
        ({"signs_certificates": False}, "may not sign certificates"),
        ({"eku": "client"}, "does not issue for servers"),
        ({"key": "rsa1024"}, "RSA key is too weak"),
        ({"key": "ec224"}, "Forbidden public key algorithm"),
        ({"not_after": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)}, "chain is not valid"),
    ],
)
def test_an_intermediate_must_be_an_authority(
    authority: Authority,
    as_system: Callable[[Authority], Verifier],
    spoilt: dict[str, Any],
    fault: str,
) -> None:
    chain = chain_in(authority.subordinate(**spoilt).issue(DOMAIN)[0])
    assert len(chain) == 2
    private, public = Verifier(authority.anchors), as_system(authority)
    assert public.evidence(chain).proves(DOMAIN).trusted is (fault == "")
    verdict = private.evidence(chain).proves(DOMAIN)
    assert verdict.trusted is (fault == "")
    assert fault in verdict.reason


@pytest.mark.clause("CRT-05")
def test_name_constraints_bind_every_kind_of_name(authority: Authority) -> None:
    bound = authority.subordinate(permitted=["capulet.example"])

    def judge(domain: str, **names: Any) -> Verdict:
        chain = chain_in(bound.issue("bound", **names)[0])
        return Verifier(authority.anchors).evidence(chain).proves(domain)

    assert judge("capulet.example", dns=["capulet.example"]).valid
    assert not judge(DOMAIN, dns=[DOMAIN]).trusted
    for kind, name in (("xmpp", DOMAIN), ("srv", f"_xmpp-server.{DOMAIN}")):
        assert not judge(DOMAIN, dns=["capulet.example"], **{kind: [name]}).valid


@pytest.mark.clause("CRT-05")
@pytest.mark.parametrize(
    ("key", "trusted"),
    [("rsa1024", False), ("rsa2048", True), ("ec224", False), ("ec", True), ("ed25519", True)],
)
def test_key_sizes(judge: Judge, key: str, trusted: bool) -> None:
    verdict = judge(key=key)
    assert verdict.trusted is trusted
    assert trusted or "key is too small" in verdict.reason


# --- time ---


@pytest.mark.clause("CRT-05")
def test_not_yet_valid(judge: Judge) -> None:
    start = datetime.datetime.now(datetime.UTC) + HOUR
    verdict = judge(not_before=start)
    assert not verdict.trusted
    assert verdict.reason.startswith("certificate is not valid before 20")


@pytest.mark.clause("SAS-08", "DBK-08", "CRT-05")
def test_the_verdict_is_of_the_moment_of_asking(authority: Authority) -> None:
    now = time.time()
    end = datetime.datetime.fromtimestamp(int(now), datetime.UTC) + HOUR
    evidence = Verifier(authority.anchors, clock=lambda: now).evidence(
        chain_in(authority.issue(DOMAIN, not_after=end)[0])
    )
    assert evidence.proves(DOMAIN).valid
    now = end.timestamp() + 1
    verdict = evidence.proves(DOMAIN)
    assert not verdict.trusted
    assert verdict.reason == f"certificate expired on {end:%Y-%m-%d}"
    assert verdict.not_after == end.timestamp()


@pytest.mark.clause("SAS-08", "DBK-08")
def test_an_authority_that_expires_ends_what_was_remembered(authority: Authority) -> None:
    now = time.time()
    end = datetime.datetime.fromtimestamp(int(now), datetime.UTC) + HOUR / 60
    chain = chain_in(authority.subordinate(not_after=end).issue(DOMAIN)[0])
    evidence = Verifier(authority.anchors, clock=lambda: now).evidence(chain)
    now = end.timestamp() - 1
    assert evidence.proves(DOMAIN).valid
    now = end.timestamp() + 1
    verdict = evidence.proves(DOMAIN)
    assert not verdict.trusted
    assert "chain is not valid" in verdict.reason


# --- malice ---


@pytest.fixture(scope="module")
def sound(authority: Authority) -> bytes:
    """A certificate with names of every kind, in DER."""
    file, _ = authority.issue(DOMAIN, srv=[f"_xmpp-server.{DOMAIN}"], xmpp=[DOMAIN])
    return chain_in(file)[0].public_bytes(Encoding.DER)


@settings(max_examples=300, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_any_octet_changed_ends_in_a_verdict(
    authority: Authority, sound: bytes, at: float, value: int
) -> None:
    damaged = bytearray(sound)
    damaged[int(at * len(damaged))] = value
    try:
        with warnings.catch_warnings(action="ignore"):
            certificate = x509.load_der_x509_certificate(bytes(damaged))
    except (ValueError, x509.InvalidVersion):
        return  # `router.acceptor.tls` shows no such certificate to anybody
    verdict = Verifier(authority.anchors).evidence([certificate]).proves(DOMAIN)
    assert verdict.trusted is (damaged == sound)
    assert verdict.reason.isprintable()


def test_an_issuer_that_cannot_be_read(authority: Authority, sound: bytes) -> None:
    damaged = sound.replace(b"Throw-away CA", b"Throw-away \xff\xff", 1)
    certificate = x509.load_der_x509_certificate(damaged)
    verdict = Verifier(authority.anchors).evidence([certificate]).proves(DOMAIN)
    assert verdict.reason == "certificate cannot be read"


# --- nothing there ---


def test_no_certificate(authority: Authority) -> None:
    evidence = Verifier(authority.anchors).evidence(())
    assert evidence is NO_CERTIFICATE
    assert evidence.proves(DOMAIN) == Verdict(False, False, "no certificate")


def test_unusable_anchors_name_their_file(tmp_path: Path) -> None:
    missing, rubbish = tmp_path / "missing.pem", tmp_path / "rubbish.pem"
    rubbish.write_text("not a certificate")
    for file in (missing, rubbish):
        with pytest.raises(TrustAnchorError, match=file.name):
            Verifier(file)
