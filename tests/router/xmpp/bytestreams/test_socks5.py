"""The SOCKS5 handshake, octet by octet, joined in memory, and fed with anything."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp.bytestreams.socks5 import (
    Broken,
    Established,
    Requested,
    Socks5Client,
    Socks5Server,
    dstaddr,
)
from router.xmpp.errors import MisuseError

ROMEO, JULIET = "romeo@montague.lit/orchard", "juliet@capulet.lit/balcony"
HASH = "972b7bf47291ca609517f67f86b5081086052dad"
GREETING = b"\x05\x01\x00"
REQUEST = b"\x05\x01\x00\x03\x28" + HASH.encode() + b"\x00\x00"
SUCCESS = b"\x05\x00\x00\x03\x28" + HASH.encode() + b"\x00\x00"
NOT_ALLOWED = b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00"


def in_pieces(octets: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(octets) + 1) for cut in cuts} | {0, len(octets)})
    return [octets[a:b] for a, b in itertools.pairwise(places)]


@pytest.mark.clause("S5B-07")
def test_the_hash_is_of_the_requester_then_the_target() -> None:
    assert dstaddr("vj3hs98y", ROMEO, JULIET) == HASH
    assert dstaddr("vj3hs98y", JULIET, ROMEO) == "1a12fb7bc625e55f3ed5b29a53dbe0e4aa7d80ba"


@pytest.mark.clause("S5B-07")
def test_the_handshake_octet_by_octet() -> None:
    server, client = Socks5Server(), Socks5Client(HASH)
    assert client.bytes_to_send() == GREETING
    assert server.receive(GREETING) is None
    assert server.bytes_to_send() == b"\x05\x00"
    assert client.receive(b"\x05\x00") is None
    assert client.bytes_to_send() == REQUEST
    assert server.receive(REQUEST) == Requested(HASH)
    assert server.bytes_to_send() == b"", "nothing before the answer"
    server.accept()
    assert server.bytes_to_send() == SUCCESS
    assert client.receive(SUCCESS) == Established()
    assert client.bytes_to_send() == b""


@pytest.mark.clause("S5B-07")
def test_a_hash_that_nobody_expects_is_refused() -> None:
    server, client = Socks5Server(), Socks5Client(HASH)
    server.receive(GREETING + REQUEST)
    server.refuse()
    assert server.bytes_to_send() == b"\x05\x00" + NOT_ALLOWED
    assert isinstance(client.receive(b"\x05\x00" + NOT_ALLOWED), Broken)


@given(st.lists(st.integers(0, 100)), st.lists(st.integers(0, 100)), st.binary())
def test_any_chunking_says_the_same(up: list[int], down: list[int], rest: bytes) -> None:
    server, client = Socks5Server(), Socks5Client(HASH)
    said = [server.receive(piece) for piece in in_pieces(GREETING + REQUEST, up)]
    assert [each for each in said if each] == [Requested(HASH)]
    server.accept()
    heard = [client.receive(piece) for piece in in_pieces(server.bytes_to_send(), down)]
    assert [each for each in heard if each] == [Established()]
    server, client = Socks5Server(), Socks5Client(HASH)
    assert server.receive(GREETING + REQUEST + rest) == Requested(HASH, rest)
    server.accept()
    assert client.receive(server.bytes_to_send() + rest) == Established(rest)


def test_other_methods_may_be_offered_besides() -> None:
    server = Socks5Server()
    assert server.receive(b"\x05\x03\x02\x01\x00") is None
    assert server.bytes_to_send() == b"\x05\x00"


def test_a_hash_in_capitals_is_the_same_hash() -> None:
    server = Socks5Server()
    said = server.receive(GREETING + REQUEST.upper())
    assert said == Requested(HASH)
    server.accept()
    assert server.bytes_to_send().endswith(HASH.upper().encode() + b"\x00\x00")


@pytest.mark.clause("S5B-07")
@pytest.mark.parametrize(
    "octets", [b"\x04", b"GET / HTTP/1.1\r\n", b"\x05\x00", b"\x05\x01\x02", b"\x05\x02\x01\x02"]
)
def test_a_greeting_that_is_none_of_ours(octets: bytes) -> None:
    server = Socks5Server()
    assert isinstance(server.receive(octets), Broken)
    assert server.bytes_to_send() == b"\x05\xff"


@pytest.mark.clause("S5B-07")
@pytest.mark.parametrize(
    ("request_octets", "code"),
    [
        (b"\x04", 1),
        (b"\x05\x02", 7),  # BIND
        (b"\x05\x03", 7),  # UDP ASSOCIATE
        (b"\x05\x01\x00\x01", 8),
        (b"\x05\x01\x00\x04", 8),
        (b"\x05\x01\x00\x03\x27", 2),
        (b"\x05\x01\x00\x03\xff", 2),
        (REQUEST.replace(b"9", b"g"), 2),
        (REQUEST[:-1] + b"\x01", 2),
        (REQUEST[:-2] + b"\x01\x00", 2),
    ],
)
def test_a_request_that_is_none_of_a_bytestream(request_octets: bytes, code: int) -> None:
    server = Socks5Server()
    assert isinstance(server.receive(GREETING + request_octets), Broken)
    assert server.bytes_to_send() == b"\x05\x00" + bytes([5, code, 0, 1, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    "reply",
    [
        b"\x05\x00\x00\x01\x00\x00\x00\x00\x04\x38",
        b"\x05\x00\x00\x04" + bytes(18),
        b"\x05\x00\x00\x03\x04host\x00\x00",
        b"\x05\x00\x00\x03\x00\x00\x00",
    ],
)
def test_a_reply_may_name_any_address(reply: bytes) -> None:
    client = Socks5Client(HASH)
    client.receive(b"\x05\x00")
    for octet in reply[:-1]:
        assert client.receive(bytes([octet])) is None
    assert client.receive(reply[-1:] + b"more") == Established(b"more")


@pytest.mark.parametrize(
    "octets",
    [
        b"\x04",
        b"\x05\xff",
        b"\x05\x02",
        b"\x05\x00\x04",
        b"\x05\x00\x05\x01",
        b"\x05\x00\x05\x00\x00\x02\x00",
    ],
)
def test_a_server_that_refuses_or_speaks_something_else(octets: bytes) -> None:
    client = Socks5Client(HASH)
    assert isinstance(client.receive(octets), Broken)
    with pytest.raises(MisuseError):
        client.receive(b"")


def test_a_request_is_answered_once_and_before_anything_else() -> None:
    server = Socks5Server()
    with pytest.raises(MisuseError):
        server.accept()
    server.receive(GREETING + REQUEST)
    with pytest.raises(MisuseError):
        server.receive(b"early")
    server.accept()
    with pytest.raises(MisuseError):
        server.refuse()
    with pytest.raises(MisuseError):
        server.receive(b"x")


@given(st.lists(st.binary(max_size=60), max_size=10), st.booleans())
def test_any_octets_end_in_a_question_or_a_fault(chunks: list[bytes], greeted: bool) -> None:
    server = Socks5Server()
    for chunk in [GREETING, *chunks] if greeted else chunks:
        said = server.receive(chunk)
        if said is not None:
            assert isinstance(said, Requested | Broken)
            break


@given(st.lists(st.binary(max_size=60), max_size=10), st.booleans())
def test_any_octets_of_a_server_too(chunks: list[bytes], chosen: bool) -> None:
    client = Socks5Client(HASH)
    for chunk in [b"\x05\x00", *chunks] if chosen else chunks:
        said = client.receive(chunk)
        if said is not None:
            assert isinstance(said, Established | Broken)
            break
