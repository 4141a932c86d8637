"""Records of the local link: what we say in them, and what is made of others'."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp.link_local import (
    SERVICE,
    Presence,
    checked_name,
    default_name,
    entries,
    host_name,
    is_on_link,
    name_of,
    presence,
    service_name,
    text_record,
    varied,
)

NAME = "causeway@pronto"


def strings(*each: bytes) -> bytes:
    return b"".join(bytes([len(string)]) + string for string in each)


@pytest.mark.clause("LLP-01")
def test_the_names_of_the_records() -> None:
    assert service_name(NAME) == "causeway@pronto._presence._tcp.local."
    assert host_name(NAME) == "pronto.local."
    assert name_of(service_name(NAME)) == NAME
    assert name_of("causeway@Pronto._PRESENCE._tcp.local.") == NAME


@pytest.mark.clause("LLP-01", "LLP-03")
def test_our_text_begins_with_the_version_and_has_each_key_once() -> None:
    text = text_record("relay.montague.example", 5298)
    assert text == strings(
        b"txtvers=1", b"port.p2pj=5298", b"status=avail", b"jid=relay.montague.example"
    )


def test_an_address_too_long_for_a_string_is_left_out() -> None:
    assert "jid" not in entries(text_record("a" * 300, 5298))


@pytest.mark.clause("LLP-02")
@pytest.mark.parametrize("text", [b"", b"\0", strings(b"")])
def test_a_peer_that_says_nothing_of_itself_is_there_all_the_same(text: bytes) -> None:
    assert presence(service_name(NAME), text) == Presence(NAME)


@pytest.mark.clause("LLP-02", "LLP-03")
def test_a_text_is_read_leniently() -> None:
    text = strings(b"=x", b"\xff=1", b"STATUS=away", b"status=dnd", b"jid=A.example  @ b@c.Example")
    found = presence(service_name(NAME), text)
    assert found == Presence(NAME, ("a.example", "b@c.example"), "away")


@given(st.binary(max_size=2000))
def test_whatever_stands_in_a_text_is_no_accident(text: bytes) -> None:
    found = presence(service_name(NAME), text)
    assert found is not None and found.name == NAME


@pytest.mark.parametrize(
    "service",
    [
        SERVICE,
        f"causeway.{SERVICE}",
        f"@pronto.{SERVICE}",
        f"a@b@c.{SERVICE}",
        f"a/b@pronto.{SERVICE}",
        f"a\n@pronto.{SERVICE}",
        f"causeway@.{SERVICE}",
        f"{'a' * 60}@pronto.{SERVICE}",
        "causeway@pronto._http._tcp.local.",
    ],
)
def test_what_is_no_name_is_nobody(service: str) -> None:
    assert presence(service, b"") is None


@pytest.mark.clause("LLP-02")
def test_a_name_that_is_taken_is_varied() -> None:
    assert [varied(NAME, n, on_this_machine=False) for n in (1, 2)] == [
        "causeway@pronto-1",
        "causeway@pronto-2",
    ]
    assert varied(NAME, 1, on_this_machine=True) == "causeway-1@pronto"


@pytest.mark.parametrize("on_this_machine", [True, False])
@pytest.mark.parametrize("name", [f"{'ä' * 20}@{'m' * 22}", f"u@{'m' * 61}"])
def test_a_varied_name_is_a_name(name: str, on_this_machine: bool) -> None:
    other = varied(checked_name(name), 12, on_this_machine=on_this_machine)
    assert checked_name(other) == other != name


@pytest.mark.parametrize(
    ("hostname", "name"),
    [
        ("pronto", "causeway@pronto"),
        ("Pronto.verona.example", "causeway@pronto"),
        ("no_name", "causeway@router"),
        ("", "causeway@router"),
    ],
)
def test_the_name_of_a_machine(hostname: str, name: str) -> None:
    assert default_name(hostname) == name


@pytest.mark.parametrize(
    ("address", "on_link"),
    [
        ("192.0.2.9", True),
        ("198.51.100.9", False),
        ("2001:db8::9", True),
        ("2001:db9::9", False),
        ("pronto.local", False),
    ],
)
def test_only_addresses_of_the_link_are_on_it(address: str, on_link: bool) -> None:
    networks = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/64")]
    assert is_on_link(address, networks) is on_link
