"""Which certificate is shown to whom: files, SNI, the header's `to`, and what ends in an alert."""

import shutil
from pathlib import Path

import pytest
from OpenSSL import SSL

from bench.authority import Authority
from router.acceptor.certificates.store import CertificateStore
from router.xmpp.errors import MisuseError
from tests.support.layers import (
    CAPULET,
    MONTAGUE,
    VERSIONS,
    alone_in_memory,
    bare_client,
    in_memory,
    sessions,
)

BUECHER = "bücher.example"
HOSTED = (MONTAGUE, CAPULET, BUECHER)
UNRECOGNIZED_NAME = bytes((21, 3, 3, 0, 2, 2, 112))


@pytest.fixture(scope="module")
def directory(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One certificate for each of the hosted domains."""
    directory = tmp_path_factory.mktemp("certs")
    for name in (MONTAGUE, CAPULET, "xn--bcher-kva.example"):
        authority.issue(name, into=directory)
    return directory


@pytest.fixture
def store(directory: Path) -> CertificateStore:
    store = CertificateStore(directory, HOSTED)
    assert store.problems() == []
    return store


async def shown(server: SSL.Context, server_name: str | None, version: str) -> str:
    """The name in the certificate that a client with this SNI sees."""
    _, session = await sessions(server, bare_client(version), server_name)
    return str(session.chain[0].subject.rfc4514_string()).removeprefix("CN=")


both_versions = pytest.mark.parametrize("version", VERSIONS)


# --- accepting ---


@pytest.mark.clause("TLS-10")
@both_versions
@pytest.mark.parametrize(
    ("header_to", "server_name", "expected"),
    [
        (CAPULET, None, CAPULET),
        (CAPULET, MONTAGUE, MONTAGUE),
        (CAPULET, "stranger.example", CAPULET),
        ("stranger.example", CAPULET, CAPULET),
        ("stranger.example", "stranger.example", MONTAGUE),
        ("stranger.example", None, MONTAGUE),
        ("", None, MONTAGUE),
        ("no domain at all", None, MONTAGUE),
        ("Capulet.Example", None, CAPULET),
        (MONTAGUE, BUECHER, "xn--bcher-kva.example"),
        (BUECHER, None, "xn--bcher-kva.example"),
    ],
)
async def test_starttls_shows_the_certificate_of_sni_or_header(
    store: CertificateStore, version: str, header_to: str, server_name: str | None, expected: str
) -> None:
    assert await shown(store.starttls_context(header_to), server_name, version) == expected


@pytest.mark.clause("TLS-10")
@both_versions
@pytest.mark.parametrize(
    ("server_name", "expected"),
    [
        (None, MONTAGUE),
        (MONTAGUE, MONTAGUE),
        (CAPULET, CAPULET),
        (BUECHER, "xn--bcher-kva.example"),
        ("192.0.2.1", MONTAGUE),  # no SNI is sent for an address
    ],
)
async def test_direct_tls_shows_the_certificate_of_sni(
    store: CertificateStore, version: str, server_name: str | None, expected: str
) -> None:
    assert await shown(store.direct_context(), server_name, version) == expected


@pytest.mark.clause("TLS-10", "DTL-01")
@both_versions
async def test_direct_tls_refuses_an_unknown_name(store: CertificateStore, version: str) -> None:
    accepting, connecting, sent, _ = in_memory(
        store.direct_context(), bare_client(version), "stranger.example"
    )
    assert await accepting.hears("failed") == "unrecognized name"
    assert "unrecognized name" in await connecting.hears("failed")
    assert sent.sent == UNRECOGNIZED_NAME


@pytest.mark.clause("TLS-10")
@pytest.mark.parametrize("server_name", [b"\xff\xfe", b"a" * 255, b"xn--\x01", b".", b"a..b"])
async def test_any_octets_in_sni_are_an_unknown_name(
    store: CertificateStore, server_name: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    hello = client_hello(server_name)
    accepting, server_end = alone_in_memory(store.direct_context())
    server_end.deliver(hello)
    assert accepting.heard == [("failed", "unrecognized name")]
    accepting, server_end = alone_in_memory(store.starttls_context(MONTAGUE))
    server_end.deliver(hello)
    assert accepting.heard == []
    assert server_end.sent.startswith(b"\x16\x03\x03")  # it goes on with a ServerHello
    assert capfd.readouterr().err == ""


def client_hello(server_name: bytes) -> bytes:
    placeholder = b"p" * len(server_name)
    connection = SSL.Connection(bare_client(), None)
    connection.set_tlsext_host_name(placeholder)
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    prefix = b"\x00" + len(server_name).to_bytes(2)
    before, found, after = connection.bio_read(65_536).partition(prefix + placeholder)
    assert found
    return before + prefix + server_name + after


# --- connecting ---


@pytest.mark.clause("TLS-09")
@both_versions
async def test_the_client_shows_the_certificate_of_its_domain(
    store: CertificateStore, version: str
) -> None:
    server = store.starttls_context(MONTAGUE)
    server.set_max_proto_version(VERSIONS[version])
    for domain, name in ((CAPULET, "CN=capulet.example"), (MONTAGUE, "CN=montague.example")):
        session, _ = await sessions(server, store.client_context(domain))
        assert session.chain[0].subject.rfc4514_string() == name


async def test_a_client_without_certificate_shows_none(store: CertificateStore) -> None:
    server = store.starttls_context(MONTAGUE)
    session, _ = await sessions(server, store.client_context("unknown.example"))
    assert session.chain == ()


@pytest.mark.clause("DTL-01")
async def test_the_client_sends_alpn_on_direct_tls_only(store: CertificateStore) -> None:
    direct = store.client_context(CAPULET, direct_tls=True)
    session, _ = await sessions(store.direct_context(), direct, MONTAGUE)
    assert (session.alpn, session.server_name) == ("xmpp-server", MONTAGUE)
    session, _ = await sessions(store.direct_context(), store.client_context(CAPULET), BUECHER)
    assert (session.alpn, session.server_name) == ("", BUECHER)


# --- files ---


def test_contexts_are_built_once(store: CertificateStore) -> None:
    assert store.starttls_context(CAPULET) is store.starttls_context("Capulet.example.")
    assert store.direct_context() is store.direct_context()
    assert store.client_context(CAPULET) is store.client_context(CAPULET)
    assert store.client_context(CAPULET) is not store.client_context(CAPULET, direct_tls=True)
    assert store.client_context("a.example") is store.client_context("b.example")


async def test_the_other_layout(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue(MONTAGUE, intermediate=True)
    folder = tmp_path / MONTAGUE
    folder.mkdir()
    shutil.copy(certificate, folder / "fullchain.pem")
    shutil.copy(key, folder / "privkey.pem")
    store = CertificateStore(tmp_path, [MONTAGUE])
    assert store.problems() == []
    assert store.has_certificate(MONTAGUE)
    _, session = await sessions(store.direct_context(), bare_client())
    assert len(session.chain) == 2


async def test_a_wildcard_serves_domains_without_files(
    authority: Authority, tmp_path: Path
) -> None:
    authority.issue("wild", dns=["*.verona.example"], into=tmp_path)
    store = CertificateStore(tmp_path, ["rooms.verona.example", "verona.example"])
    assert store.has_certificate("rooms.verona.example")
    assert not store.has_certificate("verona.example")
    assert store.problems() == [f"verona.example: no certificate for it in {tmp_path}"]


async def test_all_below_a_parent_that_some_certificate_covers(
    authority: Authority, tmp_path: Path
) -> None:
    authority.issue("wild", dns=["*.verona.example"], into=tmp_path)
    authority.issue(MONTAGUE, into=tmp_path)
    hosted = [MONTAGUE, "*.verona.example", "*.padua.example"]
    store = CertificateStore(tmp_path, hosted)
    assert store.problems() == []
    assert store.has_certificate("rooms.verona.example")
    for other in ("a.rooms.verona.example", "verona.example", "rooms.padua.example"):
        assert not store.has_certificate(other)
    assert await shown(store.starttls_context("rooms.verona.example"), None, "TLSv1.3") == "wild"
    assert await shown(store.starttls_context("rooms.padua.example"), None, "TLSv1.3") == MONTAGUE


async def test_a_fit_certificate_is_preferred_to_the_name_of_the_file(
    authority: Authority, tmp_path: Path
) -> None:
    authority.issue(MONTAGUE, dns=["old.example"], into=tmp_path)
    store = CertificateStore(tmp_path, [MONTAGUE])
    assert store.has_certificate(MONTAGUE)  # unfit, but a peer that does dialback does not mind
    expected = f"{tmp_path / MONTAGUE}.crt: is for old.example, not {MONTAGUE}"
    assert store.problems() == [expected]
    authority.issue("fit", dns=[MONTAGUE], into=tmp_path)
    store = CertificateStore(tmp_path, [MONTAGUE])
    assert store.problems() == [expected]
    assert await shown(store.direct_context(), None, "TLSv1.3") == "fit"


def test_every_unusable_file_is_listed(authority: Authority, tmp_path: Path) -> None:
    authority.issue("good.example", into=tmp_path)
    authority.issue("nokey.example", into=tmp_path)[1].unlink()
    authority.issue("weak.example", key="rsa1024", into=tmp_path)
    authority.issue("other.example", into=tmp_path)
    shutil.copy(tmp_path / "good.example.key", tmp_path / "other.example.key")
    (tmp_path / "rubbish.example.crt").write_text("rubbish")
    hosted = ["good.example", "nokey.example", "weak.example", "other.example", "rubbish.example"]
    problems = CertificateStore(tmp_path, hosted).problems()
    assert [problem.partition(": ")[0].removeprefix(f"{tmp_path}/") for problem in problems] == [
        "nokey.example.key",
        "other.example.key",
        "rubbish.example.crt",
        "weak.example.crt",
        *hosted[1:],
    ]
    assert "No such file" in problems[0]
    assert "not the key of" in problems[1]
    assert "ee key too small" in problems[3]


def test_no_certificate_at_all(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path / "missing", [MONTAGUE])
    assert len(store.problems()) == 1
    with pytest.raises(MisuseError):
        store.direct_context()
    with pytest.raises(MisuseError):
        store.starttls_context(MONTAGUE)
    assert store.client_context(MONTAGUE)
