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
        ("localhost", "localhost"),
    ],
)
def test_domains_have_one_form(text, normal):
    assert jid.domain(text) == normal


@pytest.mark.clause("RTE-13")
@pytest.mark.parametrize(
    "text", ["", ".", "a..b", "-a.example", "a b", "a\0b", "a" * 64 + ".example", "x" * 1100]
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
