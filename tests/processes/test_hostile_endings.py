"""How a stream ends after a stream error, seen from the socket: every octet, close_notify, FIN.

Blocking sockets in threads, because nothing else tells a reset from an orderly end.
"""

import asyncio
import socket
import ssl
from contextlib import suppress

import pytest
from lxml import etree

from bench.peers.causeway import Causeway
from tests.support.component import attached
from tests.support.hostile import CAPULET, HEADER, JULIET, MONTAGUE, ROMEO, many
from tests.support.nodes import SECRET
from tests.support.scripted_peer import (
    HOST,
    PROCEED,
    STARTTLS,
    SUCCESS,
    Peer,
    auth,
    header,
    message,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 15.0
STREAM_ERRORS = "{urn:ietf:params:xml:ns:xmpp-streams}"
PLACES = ["before TLS", "after STARTTLS", "direct TLS", "after SASL"]
HEADERS = {
    "a client's namespace": (header(CAPULET, MONTAGUE, xmlns="jabber:client"), "invalid-namespace"),
    "a version in words": (header(CAPULET, MONTAGUE, version="abc"), "unsupported-version"),
    "a domain not hosted": (header(CAPULET, "nope"), "host-unknown"),
    "no header at all": ("GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
    "four megabytes": (HEADER[:-1] + " a='" + "a" * 4_000_000, "policy-violation"),
    "four megabytes of stanza": (HEADER + "<a xmlns='u'>" + "a" * 4_000_000, "policy-violation"),
    "a stanza too early": (HEADER + message(JULIET, ROMEO, 1), "not-authorized"),
}


class Caller:
    """One blocking connection to the node."""

    def __init__(self, port: int) -> None:
        self.raw = socket.create_connection((HOST, port), timeout=PATIENCE_S)
        self.socket = self.raw

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.socket = context.wrap_socket(
            self.raw, server_hostname=MONTAGUE, suppress_ragged_eofs=False
        )

    def say(self, text: str, until: str) -> None:
        self.socket.sendall(text.encode())
        heard = ""
        while until not in heard:
            octets = self.socket.recv(65_536)
            assert octets, heard
            heard += octets.decode()

    def reach(self, place: str, context: ssl.SSLContext) -> None:
        """Up to where a header is due."""
        if place == "direct TLS":
            self.start_tls(context)
        if place in ("after STARTTLS", "after SASL"):
            self.say(HEADER, "</stream:features>")
            self.say(STARTTLS, PROCEED)
            self.start_tls(context)
        if place == "after SASL":
            self.say(HEADER, "</stream:features>")
            self.say(auth(CAPULET), SUCCESS)

    def last_words(self, octets: bytes) -> bytes:
        """Send all this, then everything that comes up to an orderly end of TLS and of TCP."""
        with suppress(ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            self.socket.sendall(octets)
        heard = b""
        while more := self.socket.recv(65_536):  # ssl.SSLEOFError without close_notify
            heard += more
        if isinstance(self.socket, ssl.SSLSocket):
            self.raw = self.socket.unwrap()
        assert self.raw.recv(1) == b"", "not a FIN"
        self.raw.close()
        return heard


def condition(document: bytes) -> str:
    """The condition of a stream that consists of a header and an error, complete."""
    root = etree.fromstring(document)
    error = root[-1]
    assert error.tag == "{http://etherx.jabber.org/streams}error"
    assert document.endswith(b"</stream:error></stream:stream>")
    return str(error[0].tag).removeprefix(STREAM_ERRORS)


@pytest.mark.clause("STR-09", "STR-15", "ERR-01", "XML-05")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("octets", "expected"), HEADERS.values(), ids=HEADERS.keys())
async def test_the_last_words_arrive(
    shared_node: Causeway, capulet: Peer, place: str, octets: str, expected: str
) -> None:
    def call() -> bytes:
        direct = place == "direct TLS"
        caller = Caller(shared_node.direct_tls_port if direct else shared_node.s2s_port)
        caller.reach(place, capulet.client_context())
        return caller.last_words(octets.encode())

    if (place, expected) == ("after SASL", "not-authorized"):
        octets = octets.replace(MONTAGUE, "verona.example").replace(CAPULET, "tybalt.example")
        expected = "invalid-from"
    document = await asyncio.to_thread(call)
    assert document.startswith(b"<?xml version='1.0'?><stream:stream ")
    assert condition(document) == expected


async def test_a_peer_that_goes_on_talking_is_cut_off(shared_node: Causeway) -> None:
    """What comes after the error is read and dropped, but not for ever."""

    def call() -> None:
        caller = Caller(shared_node.s2s_port)
        with caller.raw, pytest.raises((ConnectionResetError, BrokenPipeError)):
            while True:
                caller.socket.sendall(b"<foo/>" * 10_000)

    await asyncio.to_thread(call)


async def test_a_component_that_is_refused_amid_a_flood(shared_node: Causeway) -> None:
    async with attached(MONTAGUE, SECRET, shared_node.component_port):

        def call() -> bytes:
            caller = Caller(shared_node.component_port)
            head = header(None, MONTAGUE, xmlns="jabber:component:accept")
            return caller.last_words((head + many(100_000, "<message id='{}'/>")).encode())

        assert condition(await asyncio.to_thread(call)) == "not-authorized"
