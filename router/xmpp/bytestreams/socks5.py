"""The SOCKS5 handshake of a bytestream, both ends (RFC 1928 §3 to §6; XEP-0065 §5.3.2, §10.2).

Strict, and bounded by the longest message. Octets in, octets out; after it the connection carries
the bytestream alone. No authentication, no UDP.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from router.xmpp.errors import MisuseError

_VERSION: Final = 5
_NO_AUTHENTICATION: Final = 0
_CONNECT: Final = 1
_ADDRESS_BYTES: Final = {1: 4, 4: 16}  # ATYP of IPv4 and IPv6; RFC 1928 §5
_DOMAIN: Final = 3
_NO_METHOD: Final = b"\x05\xff"  # RFC 1928 §3
_DSTADDR: Final = re.compile(rb"[0-9a-fA-F]{40}")


class Reply(Enum):
    """Replies of RFC 1928 §6 that are given here."""

    SUCCEEDED = 0
    GENERAL_FAILURE = 1
    NOT_ALLOWED = 2
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_TYPE_NOT_SUPPORTED = 8


@dataclass(frozen=True, slots=True)
class Requested:
    """The client asks for a bytestream: answer at once with `accept` or `refuse`.

    `dstaddr` in lower case. `rest` came after the request: octets of the bytestream already.
    """

    dstaddr: str
    rest: bytes = b""


@dataclass(frozen=True, slots=True)
class Established:
    """The server has accepted: the connection is the bytestream, which begins with `rest`."""

    rest: bytes = b""


@dataclass(frozen=True, slots=True)
class Broken:
    """The other end broke the handshake, or refused: send what is due, and close."""

    detail: str


def dstaddr(sid: str, requester: str, target: str) -> str:
    """The DST.ADDR of a bytestream (XEP-0065 §5.3.2), addresses as in the stanzas.

    The requester is who offered the candidate (XEP-0260 §2.2), whichever side began the session.
    """
    text = f"{sid}{requester}{target}".encode()
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


class Socks5Server:
    """The end that was connected to: a direct candidate's, or the proxy's."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._buffer = bytearray()
        self._has_greeted = False
        self._request = b""
        self._is_asked = False
        self._is_over = False

    def bytes_to_send(self) -> bytes:
        """What is due to the client, handed out once."""
        out, self._out = bytes(self._out), bytearray()
        return out

    def receive(self, octets: bytes) -> Requested | Broken | None:
        """Octets of the client. Raises MisuseError after the end or before the answer."""
        if self._is_over or self._is_asked:
            raise MisuseError("the handshake does not expect octets now")
        self._buffer += octets
        if not self._has_greeted:
            broken = self._greeting()
            if broken is not None:
                return broken
        return self._requested() if self._has_greeted else None

    def accept(self) -> None:
        """Connect: the reply repeats the address and port asked for (XEP-0065 §5.3.2)."""
        self._answer()
        self._out += bytes([_VERSION, Reply.SUCCEEDED.value, 0]) + self._request[3:]

    def refuse(self) -> None:
        """Nobody here expects this bytestream: send what is due, and close."""
        self._answer()
        self._out += _refusal(Reply.NOT_ALLOWED)

    def _answer(self) -> None:
        if not self._is_asked:
            raise MisuseError("nothing has been asked for")
        self._is_asked, self._is_over = False, True

    def _greeting(self) -> Broken | None:
        buffer = self._buffer
        if buffer and buffer[0] != _VERSION:
            return self._break(_NO_METHOD, f"SOCKS version {buffer[0]}")
        if len(buffer) < 2 or len(buffer) < 2 + buffer[1]:
            return None
        methods = buffer[2 : 2 + buffer[1]]
        if _NO_AUTHENTICATION not in methods:
            return self._break(_NO_METHOD, "no method without authentication")
        del buffer[: 2 + len(methods)]
        self._has_greeted = True
        self._out += bytes([_VERSION, _NO_AUTHENTICATION])
        return None

    def _requested(self) -> Requested | Broken | None:
        buffer = self._buffer
        for at, wanted, reply in (
            (0, _VERSION, Reply.GENERAL_FAILURE),
            (1, _CONNECT, Reply.COMMAND_NOT_SUPPORTED),
            (3, _DOMAIN, Reply.ADDRESS_TYPE_NOT_SUPPORTED),
            (4, 40, Reply.NOT_ALLOWED),
        ):
            if len(buffer) > at and buffer[at] != wanted:
                return self._break(_refusal(reply), f"octet {at} of the request: {buffer[at]}")
        if len(buffer) < 47:
            return None
        self._request, address = bytes(buffer[:47]), bytes(buffer[5:45])
        if not _DSTADDR.fullmatch(address) or buffer[45:47] != b"\0\0":
            return self._break(_refusal(Reply.NOT_ALLOWED), "no hash, or a port")
        self._is_asked = True
        return Requested(address.decode("ascii").lower(), bytes(buffer[47:]))

    def _break(self, octets: bytes, detail: str) -> Broken:
        self._is_over = True
        self._out += octets
        return Broken(detail)


class Socks5Client:
    """The end that connected to a candidate or a proxy."""

    def __init__(self, address: str) -> None:
        self._out = bytearray([_VERSION, 1, _NO_AUTHENTICATION])
        self._buffer = bytearray()
        self._address = address
        self._is_chosen = False
        self._is_over = False

    def bytes_to_send(self) -> bytes:
        """What is due to the server, handed out once."""
        out, self._out = bytes(self._out), bytearray()
        return out

    def receive(self, octets: bytes) -> Established | Broken | None:
        """Octets of the server. Raises MisuseError after the end."""
        if self._is_over:
            raise MisuseError("the handshake is over")
        self._buffer += octets
        if not self._is_chosen:
            return self._method() or (self._reply() if self._is_chosen else None)
        return self._reply()

    def _method(self) -> Broken | None:
        expected = bytes([_VERSION, _NO_AUTHENTICATION])
        if not expected.startswith(self._buffer[:2]):
            return self._break(f"method {self._buffer[:2].hex()}")
        if len(self._buffer) >= 2:
            del self._buffer[:2]
            self._is_chosen = True
            self._out += bytes([_VERSION, _CONNECT, 0]) + _domain(self._address)
        return None

    def _reply(self) -> Established | Broken | None:
        """RFC 1928 §6. Any address will do: not every StreamHost repeats the one asked for."""
        buffer = self._buffer
        for at, wanted in ((0, _VERSION), (1, Reply.SUCCEEDED.value)):
            if len(buffer) > at and buffer[at] != wanted:
                return self._break(f"octet {at} of the reply: {buffer[at]}")
        if len(buffer) < 5:
            return None
        kind = buffer[3]
        if kind != _DOMAIN and kind not in _ADDRESS_BYTES:
            return self._break(f"address type {kind}")
        length = 4 + _ADDRESS_BYTES.get(kind, 1 + buffer[4]) + 2
        if len(buffer) < length:
            return None
        self._is_over = True
        return Established(bytes(buffer[length:]))

    def _break(self, detail: str) -> Broken:
        self._is_over = True
        return Broken(detail)


def _domain(address: str) -> bytes:
    octets = address.encode("ascii")
    return bytes([_DOMAIN, len(octets)]) + octets + b"\0\0"


def _refusal(reply: Reply) -> bytes:
    """A reply without a bound address: 0.0.0.0, port 0."""
    return bytes([_VERSION, reply.value, 0, 1, 0, 0, 0, 0, 0, 0])
