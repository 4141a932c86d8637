"""TLS on a live transport: a pyOpenSSL memory BIO between the socket and its upper.

The peer's certificate is asked for, never judged: any or none completes the handshake, and the
verdict is `certificates.verdict`'s. Contexts come from `certificates.store`. All that a peer sends
ends in a call to the upper, never in an exception.
"""

import contextlib
import enum
import ipaddress
import math
import warnings
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography import x509
from OpenSSL import SSL

from router.acceptor.layer import CHUNK_BYTES, RECEIVE_BUFFER, Layer, Transport, Upper
from router.acceptor.throttle import Bucket
from router.xmpp.jid import JidError, ascii_domain, domain

__all__ = ["Alert", "Layer", "TlsError", "TlsLayer", "TlsSession", "TlsUpper", "reason", "refuse"]

_RECORD_BYTES: Final = 16_384  # RFC 8446 §5.1: the most plaintext in one record
_TLS13_OVERHEAD_BYTES: Final = 22  # RFC 8446 §5.2: header, content type, tag; without padding
_RECORD_HEADER_BYTES: Final = 5
_FOLLOWED_BYTES: Final = 16_384  # an ordinary handshake's flight has no more at once
_LOST: Final = -1
_CIPHERTEXT_BYTES: Final = 32_768  # a record and its overhead in one read

# B3: what TLS itself may cost beyond this share of the data: KeyUpdates, alerts, tiny records. A
# peer's keys may change a hundred times a second, and some thousand times at once, but no more.
_OVERHEAD_PER_OCTET: Final = 4
_OVERHEAD_BYTES_PER_S: Final = 4096
_OVERHEAD_BURST_BYTES: Final = 131_072


class Alert(enum.IntEnum):
    """Alerts we send ourselves (RFC 8446 §6)."""

    UNRECOGNIZED_NAME = 112
    NO_APPLICATION_PROTOCOL = 120


class TlsError(ConnectionError):
    """The peer broke TLS after the handshake, or ended it with an alert; says which."""


@dataclass(frozen=True, slots=True)
class TlsSession:
    """What a completed handshake agreed on."""

    version: str
    """As OpenSSL writes it: TLSv1.2 or TLSv1.3."""
    cipher: str
    alpn: str
    """The protocol agreed on, or empty."""
    server_name: str
    """The domain the initiating side asked for by SNI, as `jid.domain` has it, or empty."""
    chain: tuple[x509.Certificate, ...]
    """The peer's certificates, leaf first, unverified; empty when none came or it is unreadable."""


class TlsUpper(Upper, Protocol):
    """Hears of the handshake exactly once, unless it ends the layer before."""

    def tls_established(self, session: TlsSession) -> None:
        """The handshake is complete; data may follow."""

    def tls_failed(self, reason: str) -> None:
        """The handshake failed; the alert is sent and the transport closing."""


def refuse(connection: SSL.Connection, alert: Alert) -> None:
    """For SNI and ALPN callbacks: end this handshake with `alert` in place of our first flight."""
    connection.set_app_data(alert)


class TlsLayer(Layer):
    """Installs itself on the transport. The upper is not called before the constructor returns.

    `server_name` is the domain for SNI when we are the client; an IP literal sends none. `early`:
    TLS octets that the protocol before had already read (direct TLS; STARTTLS forbids any).
    """

    __slots__ = (
        "_connection",
        "_fed",
        "_is_established",
        "_is_server",
        "_overhead",
        "_record_lacks",
        "_tls_upper",
        "_unexplained",
    )

    def __init__(
        self,
        transport: Transport,
        context: SSL.Context,
        upper: TlsUpper,
        *,
        server_side: bool,
        server_name: str | None = None,
        early: bytes = b"",
        written_before: int = 0,
    ) -> None:
        super().__init__(transport, upper, written_before)
        self._tls_upper = upper
        self._is_server = server_side
        self._is_established = False
        self._fed = 0
        # Octets that the last record of the handshake still lacks, if that is known, and those that
        # OpenSSL was given since and may hold, as no record of data accounts for them.
        self._record_lacks = 0
        self._unexplained = math.inf
        self._overhead = Bucket(_OVERHEAD_BYTES_PER_S, _OVERHEAD_BURST_BYTES, self._loop.time())
        self._connection = SSL.Connection(context, None)
        if server_side:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
            if server_name is not None and (sni := _sni(server_name)):
                self._connection.set_tlsext_host_name(sni)
        if early:
            self._connection.bio_write(early)
            self._follow(memoryview(early))
        if early or not server_side:
            self._loop.call_soon(self._advance)

    def buffer_updated(self, nbytes: int) -> None:
        """The shared buffer holds so many octets of ciphertext for us."""
        if self._is_open:
            octets = RECEIVE_BUFFER[:nbytes]
            self._connection.bio_write(octets)
            self._fed += nbytes
            if self._is_established:
                self._unexplained += nbytes
            else:
                self._follow(octets)
            self._advance()

    def eof_received(self) -> bool:
        """TCP FIN: a truncation, unless close_notify came before."""
        if self._is_open and not self._is_established:
            self._fail_handshake("connection closed during the handshake")
            return False
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        if self._is_open and not self._is_established:
            self._is_open = False
            self._tls_upper.tls_failed("connection lost during the handshake")
        super().connection_lost(exc)

    # --- receiving ---

    def _advance(self) -> None:
        if self._is_open and (self._is_established or self._handshake()):
            self._receive()

    def _handshake(self) -> bool:
        """Go as far as the peer's octets allow; True once complete and still wanted."""
        is_complete, fault = False, ""
        try:
            self._connection.do_handshake()
            is_complete = True
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            fault = reason(error)
        if (alert := self._connection.get_app_data()) is not None:
            # pyOpenSSL cannot say this from a callback: it prints a traceback for SNI, and has no
            # refusal for ALPN. Nothing of our flight has left, so the alert goes in plaintext.
            self._put(bytes((21, 3, 3, 0, 2, 2, alert)))
            self._fail_handshake(alert.name.lower().replace("_", " "))
            return False
        if not (is_complete and self._may_wait()):
            self._emit()
        if fault:
            self._fail_handshake(fault)
        elif is_complete:
            self._is_established = True
            self._fed = 0
            self._tls_upper.tls_established(_session(self._connection))
            if self._pending:
                self._schedule_flush()
        return is_complete and self._is_open

    def _may_wait(self) -> bool:
        """Whether what OpenSSL wants to send at the end of a handshake can leave with our data.

        On the server's side of TLS 1.3 that is two session tickets (RFC 8446 §4.6.1): pyOpenSSL
        has no way to turn them off. Nobody waits for them, and we take none back.
        """
        return self._is_server and self._is_tls13()

    def _is_tls13(self) -> bool:
        return self._connection.get_protocol_version() == SSL.TLS1_3_VERSION

    def _follow(self, octets: memoryview) -> None:
        """Whether these octets of a handshake end where a record does (RFC 8446 §5.1)."""
        at, end = self._record_lacks, len(octets)
        if at < 0 or end > _FOLLOWED_BYTES:
            self._record_lacks = _LOST
            return
        while at + _RECORD_HEADER_BYTES <= end:
            at += _RECORD_HEADER_BYTES + (octets[at + 3] << 8 | octets[at + 4])
        self._record_lacks = at - end if at >= end else _LOST

    def _handshake_is_read(self) -> None:
        """OpenSSL has read on until it wanted more, behind a handshake that left no odd octets.

        It holds nothing then. In every suite of TLS 1.3 that it takes a record's overhead is known,
        so what it holds is known from now on, as long as the peer sends data and does not pad it.
        """
        self._record_lacks = _LOST
        if self._is_tls13():
            self._unexplained = 0

    def _receive(self) -> None:
        """Hand up all complete records as one, so that the reader makes long runs.

        A record that is all there was goes up before OpenSSL is asked for more: a stanza that comes
        alone need not wait for that answer. Where it can only be no, OpenSSL is not asked at all.
        """
        records: list[bytes] = []
        octets_held = octets_given = 0
        is_end, fault = False, ""
        while True:
            try:
                record = self._connection.recv(_RECORD_BYTES)
            except SSL.WantReadError:
                if not self._record_lacks:
                    self._handshake_is_read()
                break
            except SSL.ZeroReturnError:
                is_end = True
                break
            except SSL.Error as error:
                fault = reason(error)
                break
            records.append(record)
            octets_held += len(record)
            self._unexplained -= len(record) + _TLS13_OVERHEAD_BYTES
            is_all = octets_held + _TLS13_OVERHEAD_BYTES == self._fed
            if is_all or octets_held > CHUNK_BYTES - _RECORD_BYTES:
                octets_given += octets_held
                self._upper.data_received(b"".join(records))
                if not self._is_open:
                    return
                records.clear()
                octets_held = 0
            if not self._unexplained:
                break
        octets_given += octets_held
        beyond, self._fed = self._fed - _OVERHEAD_PER_OCTET * octets_given, 0
        if self._overhead.take(beyond, self._loop.time()) > 0:
            fault = fault or "too many records without data"
        if records:
            self._upper.data_received(records[0] if len(records) == 1 else b"".join(records))
        if not self._is_open:
            return
        if self._unexplained:
            # OpenSSL answers some records by itself (a refused renegotiation): let nothing pile up.
            self._emit()
        if fault:
            self._break_off(fault)
        elif is_end:
            self._end_reached(clean=True)

    # --- sending ---

    def _may_send(self) -> bool:
        return self._is_established

    def _send(self, octets: bytes) -> None:
        view = memoryview(octets)
        at = 0
        try:
            while at < len(view):
                at += self._connection.send(view[at : at + _RECORD_BYTES])
                self._emit()
        except SSL.Error as error:
            self._break_off(reason(error))

    def _emit(self) -> None:
        """Everything OpenSSL wants to send goes to the transport."""
        with contextlib.suppress(SSL.WantReadError):
            while True:
                octets = self._connection.bio_read(_CIPHERTEXT_BYTES)
                self._put(octets)
                if len(octets) < _CIPHERTEXT_BYTES:
                    return

    # --- ending ---

    def _say_goodbye(self) -> None:
        if self._is_established:
            with contextlib.suppress(SSL.Error):
                self._connection.shutdown()
            self._emit()

    def _fail_handshake(self, reason: str) -> None:
        self._is_open = False
        self.transport.close()
        self._tls_upper.tls_failed(reason)

    def _break_off(self, reason: str) -> None:
        self._is_open = False
        self._lost_by = TlsError(reason)
        self.transport.close()


def _session(connection: SSL.Connection) -> TlsSession:
    return TlsSession(
        version=connection.get_protocol_version_name(),
        cipher=connection.get_cipher_name() or "",
        alpn=connection.get_alpn_proto_negotiated().decode("ascii", "replace"),
        server_name=_server_name(connection),
        chain=_peer_chain(connection),
    )


def _server_name(connection: SSL.Connection) -> str:
    try:
        return domain((connection.get_servername() or b"").decode("ascii", "replace"))
    except JidError:
        return ""


def _peer_chain(connection: SSL.Connection) -> tuple[x509.Certificate, ...]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities of a stranger's certificate
            leaf = connection.get_peer_certificate(as_cryptography=True)
            rest = connection.get_peer_cert_chain(as_cryptography=True) or []
    except (ValueError, x509.InvalidVersion):
        return ()
    if leaf is None:
        return ()
    # OpenSSL's chain has the leaf on the client's side and lacks it on the server's.
    return (leaf, *(rest[1:] if rest and rest[0] == leaf else rest))


def _sni(server_name: str) -> bytes:
    """RFC 6066 §3: A-labels, no final dot; empty for an address, which SNI cannot carry."""
    name = ascii_domain(server_name)
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name.strip("[]"))
        return b""
    return name.encode("ascii")


def reason(error: SSL.Error) -> str:
    """OpenSSL's own words for the first thing that went wrong."""
    match error.args:
        case ([(_, _, str(reason)), *_],) if reason:
            return reason
    return str(error) or "unspecified TLS error"
