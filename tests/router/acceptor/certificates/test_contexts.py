"""What our contexts allow and forbid: versions, renegotiation, resumption, ALPN."""

import ssl
import warnings
from pathlib import Path

import pytest
from OpenSSL import SSL

from bench.authority import Authority
from router.acceptor.certificates.store import CertificateStore
from tests.support.layers import (
    CAPULET,
    MONTAGUE,
    VERSIONS,
    alone_in_memory,
    bare_client,
    in_memory,
    sessions,
    shaken_hands,
)

both_versions = pytest.mark.parametrize("version", VERSIONS)
NO_APPLICATION_PROTOCOL = bytes((21, 3, 3, 0, 2, 2, 120))


@pytest.fixture
def unused(authority: Authority, tmp_path: Path) -> CertificateStore:
    """Contexts that have made no connection yet may still be changed."""
    authority.issue(MONTAGUE, into=tmp_path)
    return CertificateStore(tmp_path, [MONTAGUE])


@pytest.mark.clause("DTL-02")
@both_versions
@pytest.mark.parametrize(
    ("offered", "agreed"),
    [(None, ""), ([b"xmpp-server"], "xmpp-server"), ([b"h2", b"xmpp-server"], "xmpp-server")],
)
async def test_direct_tls_takes_no_alpn_or_ours(
    store: CertificateStore, version: str, offered: list[bytes] | None, agreed: str
) -> None:
    client = bare_client(version, offered)
    for name in (None, MONTAGUE, CAPULET):
        mine, theirs = await sessions(store.direct_context(), client, name)
        assert mine.alpn == theirs.alpn == agreed


@pytest.mark.clause("DTL-02")
@both_versions
@pytest.mark.parametrize("server_name", [None, CAPULET])
async def test_direct_tls_refuses_another_protocol(
    store: CertificateStore, version: str, server_name: str | None
) -> None:
    client = bare_client(version, [b"h2", b"xmpp-client"])
    accepting, connecting, sent, _ = in_memory(store.direct_context(), client, server_name)
    assert await accepting.hears("failed") == "no application protocol"
    assert "no application protocol" in await connecting.hears("failed")
    assert sent.sent == NO_APPLICATION_PROTOCOL


async def test_starttls_ignores_alpn(store: CertificateStore) -> None:
    for offered in ([b"h2"], [b"xmpp-server"]):
        session, _ = await sessions(store.starttls_context(MONTAGUE), bare_client(alpn=offered))
        assert session.alpn == ""


@pytest.mark.clause("TLS-11")
async def test_tls_1_1_gets_an_alert(unused: CertificateStore) -> None:
    outgoing = ssl.MemoryBIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    client = old.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=MONTAGUE)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()

    context = unused.direct_context()
    context.set_cipher_list(b"ALL:@SECLEVEL=0")  # OpenSSL's own scruples must not hide ours
    accepting, server_end = alone_in_memory(context)
    server_end.deliver(outgoing.read())
    assert accepting.heard == [("failed", "unsupported protocol")]
    assert server_end.sent[0] == 21
    assert server_end.sent[-2:] == bytes((2, 70))  # fatal, protocol_version


@pytest.mark.clause("TLS-11")
@pytest.mark.parametrize("name", ["starttls", "direct", "client"])
def test_what_openssl_would_allow_by_itself_is_off(unused: CertificateStore, name: str) -> None:
    context = {
        "starttls": unused.starttls_context(MONTAGUE),
        "direct": unused.direct_context(),
        "client": unused.client_context(MONTAGUE),
    }[name]
    options = context.set_options(0)
    for off in (SSL.OP_NO_COMPRESSION, SSL.OP_NO_RENEGOTIATION, SSL.OP_NO_TICKET):
        assert options & off


@pytest.mark.clause("TLS-11")
async def test_renegotiation_is_refused_and_leaves_nothing_behind(store: CertificateStore) -> None:
    accepting, server_end = alone_in_memory(store.direct_context())
    client = shaken_hands(accepting, server_end, "TLSv1.2")
    client.renegotiate()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    server_end.deliver(client.bio_read(65_536))
    assert server_end.sent  # told no at once, not when there is next something to send
    client.bio_write(server_end.sent)
    with pytest.raises(SSL.Error, match="no renegotiation"):
        client.do_handshake()
    assert accepting.names() == ["established"]


def test_contexts_are_not_resumable(store: CertificateStore) -> None:
    for context in (store.direct_context(), store.client_context(MONTAGUE)):
        assert context.get_session_cache_mode() == SSL.SESS_CACHE_OFF
