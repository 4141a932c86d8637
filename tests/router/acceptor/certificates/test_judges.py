"""Whose anchors judge a connection, and what its address is worth."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509

from bench.authority import Authority
from router.acceptor.certificates.judges import Judges
from router.config import Address, Config, Domain, Inside, Tls
from router.xmpp.certificate import Evidence

VERONA, PADUA = "verona.example", "padua.example"
HERE, THERE = "10.0.0.7", "10.0.0.8"


@pytest.fixture(scope="module")
def inner(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority.make(tmp_path_factory.mktemp("inner"))
    authority.issue(VERONA)
    return authority


@pytest.fixture
def config(authority: Authority, inner: Authority) -> Config:
    return Config(
        tls=Tls(trust_anchors=str(authority.anchors)),
        inside=Inside(trust_anchors=str(inner.anchors)),
        domains={
            VERONA: Domain("server", target=Address(HERE, 5269)),
            "*.verona.example": Domain("server", target=Address(HERE, 5269)),
            PADUA: Domain("server", target=Address(THERE, 5269)),
        },
    )


def seen(
    judges: Judges, leg: str, address: str = THERE, certificate: Path | None = None
) -> Evidence:
    session = None
    if certificate is not None:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        session = SimpleNamespace(chain=chain)
    connection = SimpleNamespace(leg=leg, peer=(address, 40_000))
    return judges.evidence(connection, session)  # type: ignore[arg-type]


def test_each_leg_has_its_own_anchors(config: Config, inner: Authority) -> None:
    certificate = inner.directory / f"{VERONA}.crt"
    judges = Judges(config)
    assert seen(judges, "server", certificate=certificate).proves(VERONA).valid
    assert not seen(judges, "s2s", certificate=certificate).proves(VERONA).valid
    assert judges.reload(replace(config, inside=Inside())) == []
    assert not seen(judges, "server", certificate=certificate).proves(VERONA).valid
    assert judges.reload(config) == []
    assert seen(judges, "server", certificate=certificate).proves(VERONA).valid


@pytest.mark.parametrize("address", [HERE, f"::ffff:{HERE}"])
def test_an_address_proves_what_is_there_and_nothing_else(config: Config, address: str) -> None:
    trusting = Judges(replace(config, inside=Inside(trust_address=True)))
    evidence = seen(trusting, "server", address)
    for domain in (VERONA, "conference.verona.example"):
        assert evidence.proves(domain).valid
    for domain in (PADUA, "capulet.example"):
        assert not evidence.proves(domain).valid
    assert not seen(trusting, "s2s", address).proves(VERONA).valid
    assert not seen(Judges(config), "server", address).proves(VERONA).valid


def test_a_certificate_counts_beside_the_address(config: Config, inner: Authority) -> None:
    inside = replace(config.inside, trust_address=True)
    evidence = seen(
        Judges(replace(config, inside=inside)),
        "server",
        certificate=inner.directory / f"{VERONA}.crt",
    )
    assert evidence.proves(VERONA).valid
    assert evidence.proves(PADUA).valid
