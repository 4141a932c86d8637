"""Who may connect to a direct candidate, and which addresses become one (XEP-0065 §10.1)."""

import pytest

from router.xmpp.bytestreams.listening import ExpectedConnections, is_offerable

NOW = 1000.0


@pytest.mark.clause("S5B-08")
def test_one_connection_for_each_expected_hash() -> None:
    expected = ExpectedConnections[str]()
    assert expected.expect("hash", "bytestream", until=NOW + 30)
    assert expected.claim("another", NOW) is None
    assert expected.claim("hash", NOW) == "bytestream"
    assert expected.claim("hash", NOW) is None


@pytest.mark.clause("S5B-08")
def test_a_hash_is_of_use_only_while_its_bytestream_is_pending() -> None:
    expected = ExpectedConnections[str]()
    expected.expect("late", "a", until=NOW + 30)
    expected.expect("cancelled", "b", until=NOW + 30)
    expected.expect("good", "c", until=NOW + 31)
    expected.cancel("cancelled")
    assert expected.claim("cancelled", NOW) is None
    assert expected.claim("late", NOW + 30) is None
    expected.expire(NOW + 30)
    assert len(expected) == 1
    assert expected.claim("good", NOW + 30) == "c"


def test_what_is_expected_is_bounded() -> None:
    expected = ExpectedConnections[int](max_pending=2)
    assert expected.expect("a", 1, NOW + 1)
    assert not expected.expect("a", 2, NOW + 1)
    assert expected.expect("b", 2, NOW + 1)
    assert not expected.expect("c", 3, NOW + 1)
    assert expected.claim("a", NOW) == 1
    assert expected.expect("c", 3, NOW + 1)


@pytest.mark.clause("S5B-08")
@pytest.mark.parametrize(
    ("host", "is_public", "is_usable"),
    [
        ("8.8.8.8", True, True),
        ("2a00:1450:4001::1", True, True),
        ("relay.capulet.example", True, True),
        ("192.168.4.1", False, True),
        ("127.0.0.1", False, True),
        ("10.0.0.1", False, True),
        ("100.64.0.1", False, True),
        ("::1", False, True),
        ("fe80::1%eth0", False, True),
        ("fd00::1", False, True),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
    ],
)
def test_private_addresses_are_offered_only_where_allowed(
    host: str, is_public: bool, is_usable: bool
) -> None:
    assert is_offerable(host, allow_private=False) is is_public
    assert is_offerable(host, allow_private=True) is is_usable
