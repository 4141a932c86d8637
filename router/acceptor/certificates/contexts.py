"""How our TLS contexts are set: versions, what is off, SNI and ALPN. `certificates` keeps them.

A context is never changed after its first connection (pyOpenSSL forbids it); reloading certificates
means new contexts.
"""

from collections.abc import Callable
from typing import Any, Final

from OpenSSL import SSL

from router.acceptor.certificates.credential import Credential
from router.acceptor.tls import Alert, refuse

ALPN: Final = b"xmpp-server"  # XEP-0368 §3

ContextByName = Callable[[str], SSL.Context | None]
"""The SNI a peer sent, which may be any text, to the context of the hosted domain it names."""


def client_context(credential: Credential | None, *, direct_tls: bool) -> SSL.Context:
    """For connections we open; presents `credential` when asked, offers ALPN on direct TLS only."""
    context = _context(credential)
    if direct_tls:
        context.set_alpn_protos([ALPN])
    return context


def server_context(
    credential: Credential, by_name: ContextByName, *, direct_tls: bool
) -> SSL.Context:
    """For connections we accept; presents `credential` unless SNI names another's context.

    On direct TLS, an SNI without context and an ALPN offer without xmpp-server get their alerts
    (XEP-0368 §3); on STARTTLS the one is passed over and the other ignored.
    """
    context = _context(credential)
    context.set_session_id(ALPN)

    def on_server_name(connection: SSL.Connection) -> None:
        if (server_name := connection.get_servername()) is None:
            return
        if (named := by_name(server_name.decode("ascii", "replace"))) is not None:
            if named is not connection.get_context():
                connection.set_context(named)
        elif direct_tls:
            refuse(connection, Alert.UNRECOGNIZED_NAME)

    context.set_tlsext_servername_callback(on_server_name)
    if direct_tls:
        context.set_alpn_select_callback(_select_alpn)
    return context


def _context(credential: Credential | None) -> SSL.Context:
    """RFC 9325 and TLS-11; no resumption, since a resumed session shows no chain to judge."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # The same in every context: SSL.Connection.set_context does not carry it over.
    context.set_verify(SSL.VERIFY_PEER, _let_pass)
    if credential is not None:
        leaf, *intermediates = credential.chain
        context.use_certificate(leaf)
        for intermediate in intermediates:
            context.add_extra_chain_cert(intermediate)
        context.use_privatekey(credential.key)
    return context


def _let_pass(*_: object) -> bool:
    """The handshake is no place to judge: dialback may prove what the certificate does not."""
    return True


def _select_alpn(connection: SSL.Connection, offered: list[bytes]) -> Any:
    if ALPN in offered:
        return ALPN
    refuse(connection, Alert.NO_APPLICATION_PROTOCOL)
    return SSL.NO_OVERLAPPING_PROTOCOLS
