"""Domains in the one form the program compares."""

import pytest

from router.xmpp import jid


@pytest.mark.clause("RTE-13")
@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("EXAMPLE.com.", "example.com"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("BÜCHER.example", "bücher.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[0:0::0:A]", "[::a]"),
        ("localhost", "localhost"),
    ],
)
def test_domains_have_one_form(text, normal):
    assert jid.domain(text) == normal


@pytest.mark.clause("RTE-13")
@pytest.mark.parametrize(
    "text",
    ["", ".", "a..b", "-a.example", "a b", "a\0b", "a" * 64 + ".example", "x" * 1100, "[:::]"],
)
def test_what_is_no_domain(text):
    with pytest.raises(jid.JidError):
        jid.domain(text)


@pytest.mark.clause("RTE-13")
@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("a@b.example/c@d", "b.example"),
        ("b.example/a@c", "b.example"),
        ("b.example", "b.example"),
        ("a@B.example", "b.example"),
    ],
)
def test_an_address_is_split_at_the_slash_first(address, domain):
    assert jid.domain_of(address) == domain


@pytest.mark.clause("RTE-01")
@pytest.mark.parametrize("address", ["", "@b.example", "a@", "a@b.example/", "/r", "a@b@c.example"])
def test_addresses_with_empty_or_broken_parts(address):
    with pytest.raises(jid.JidError):
        jid.domain_of(address)


@pytest.mark.clause("CRT-04")
def test_ascii_domain_is_for_dns_and_certificates():
    assert jid.ascii_domain("Bücher.example") == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("text", "is_address"),
    [
        ("127.0.0.1", True), ("127.1", True), ("2130706433", True), ("0x7f000001", True),
        ("a.0x", True), ("[::1]", True), ("[::ffff:127.0.0.1]", True), ("1.example", False),
        ("xn--1-7sbc.example", False), ("a.x7", False), ("localhost", False), ("0xg", False),
    ],
)  # fmt: skip
def test_what_ends_in_a_number_is_an_address(text: str, is_address: bool) -> None:
    assert jid.is_address(jid.domain(text)) == is_address


@pytest.mark.clause("RTE-13")
@pytest.mark.parametrize(
    ("address", "normal", "bare"),
    [
        ("A@B.Example./R@x/Y", "A@b.example/R@x/Y", "A@b.example"),
        ("B.example/A@c", "b.example/A@c", "b.example"),
        ("xn--bcher-kva.example", "bücher.example", "bücher.example"),
    ],
)
def test_an_address_in_normal_form_keeps_its_other_parts(
    address: str, normal: str, bare: str
) -> None:
    assert jid.normal(address) == jid.normal(normal) == normal
    assert jid.bare(normal) == bare


@pytest.mark.clause("RTE-01")
@pytest.mark.parametrize("address", ["", "@b.example", "a@", "a@b.example/", "a@b@c.example"])
def test_what_is_no_address_has_no_normal_form(address: str) -> None:
    with pytest.raises(jid.JidError):
        jid.normal(address)
