"""Which domain a certificate names (RFC 6120 §13.7.1.2, RFC 9525 §6)."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509

from bench.authority import Authority
from router.acceptor.certificates.identifiers import IdentifierError, Identifiers, identifiers

Named = Callable[..., Identifiers]

DNS_IDS = [
    # domain asked about, DNS-IDs, is it covered
    ("montague.example", ["montague.example"], True),
    ("MONTAGUE.Example", ["montague.EXAMPLE"], True),
    ("montague.example", ["montague.example."], True),
    ("montague.example.", ["montague.example"], True),
    ("montague.example", ["capulet.example", "montague.example"], True),
    ("montague.example", ["capulet.example"], False),
    ("montague.example", ["xmpp.montague.example"], False),
    ("montague.example", ["example"], False),
    ("localhost", ["localhost"], True),
    # §13.7.1.2.1, RFC 9525 §6.3: a wildcard is the whole left-most label, for exactly one label
    ("a.x.example", ["*.x.example"], True),
    ("A.x.example", ["*.X.example"], True),
    ("x.example", ["*.x.example"], False),
    ("b.a.x.example", ["*.x.example"], False),
    ("foo.x.example", ["f*.x.example"], False),
    ("foo.x.example", ["*o.x.example"], False),
    ("a.b.example", ["a.*.example"], False),
    ("a.b.example", ["*.*.example"], False),
    ("a.b.example", ["*"], False),
    ("b.example", ["*.example"], False),
    ("a.x.example", ["f**.y.example", "*.x.example"], True),
    # A-labels (RFC 6125 §6.4)
    ("bücher.example", ["xn--bcher-kva.example"], True),
    ("xn--bcher-kva.example", ["XN--BCHER-KVA.example"], True),
    ("BÜCHER.example", ["xn--bcher-kva.example"], True),
    ("a.bücher.example", ["*.xn--bcher-kva.example"], True),
    ("bucher.example", ["xn--bcher-kva.example"], False),
    # cautious: a wildcard stands for no internationalised label
    ("bücher.x.example", ["*.x.example"], False),
    # addresses are no domain names, and no name at all is no domain
    ("192.0.2.1", ["192.0.2.1"], False),
    ("[2001:db8::1]", ["[2001:db8::1]"], False),
    ("", ["montague.example"], False),
    ("a b", ["a b"], False),
    ("romeo@montague.example", ["montague.example"], False),
]


@pytest.fixture
def named(authority: Authority) -> Named:
    """The identifiers of a certificate issued with these names."""

    def issue(**names: Any) -> Identifiers:
        file, _ = authority.issue("montague.example", **names)
        return identifiers(x509.load_pem_x509_certificate(file.read_bytes()))

    return issue


@pytest.mark.clause("CRT-02", "CRT-03", "CRT-04")
@pytest.mark.parametrize(("domain", "dns", "covered"), DNS_IDS)
def test_dns_ids(named: Named, domain: str, dns: list[str], covered: bool) -> None:
    assert named(dns=dns).covers(domain) is covered


@pytest.mark.clause("CRT-02", "CRT-04")
@pytest.mark.parametrize(
    ("domain", "srv", "covered"),
    [
        ("montague.example", "_xmpp-server.montague.example", True),
        ("montague.example", "_XMPP-Server.Montague.example.", True),
        ("bücher.example", "_xmpp-server.xn--bcher-kva.example", True),
        ("montague.example", "_xmpp-client.montague.example", False),
        ("montague.example", "_xmpps-server.montague.example", False),
        ("montague.example", "_xmpp-server.capulet.example", False),
        ("montague.example", "montague.example", False),
        ("montague.example", "_xmpp-server.", False),
        ("montague.example", "", False),
    ],
)
def test_srv_ids(named: Named, domain: str, srv: str, covered: bool) -> None:
    names = named(dns=(), srv=[srv])
    assert names.covers(domain) is covered
    assert not names.covers(domain, only_dns=True)


@pytest.mark.clause("CRT-02", "CRT-04")
@pytest.mark.parametrize(
    ("domain", "address", "covered"),
    [
        ("montague.example", "montague.example", True),
        ("montague.example", "Montague.Example.", True),
        ("bücher.example", "bücher.example", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("XN--bcher-kva.example", "bücher.example", True),
        ("montague.example", "*.example", False),
        ("montague.example", "romeo@montague.example", False),
        ("montague.example", "montague.example/orchard", False),
        ("montague.example", "", False),
    ],
)
def test_xmpp_addresses(named: Named, domain: str, address: str, covered: bool) -> None:
    names = named(dns=(), xmpp=[address])
    assert names.covers(domain) is covered
    assert not names.covers(domain, only_dns=True)


@pytest.mark.clause("E2E-03")
@pytest.mark.parametrize(
    ("address", "covered"),
    [
        ("romeo@montague.example", True),
        ("romeo@Montague.Example.", True),
        ("Romeo@montague.example", False),
        ("nurse@montague.example", False),
        ("romeo@montague.example/orchard", False),
        ("montague.example", False),
        ("romeo@", False),
    ],
)
def test_an_account_is_named_by_its_bare_address(named: Named, address: str, covered: bool) -> None:
    names = named(dns=["montague.example"], xmpp=[address])
    assert names.covers("romeo@montague.example") is covered
    assert not names.covers("romeo@montague.example", only_dns=True)


@pytest.mark.clause("CRT-02")
def test_any_one_identifier_is_enough(named: Named) -> None:
    names = named(
        dns=["montague.example"],
        srv=["_xmpp-server.other.example"],
        xmpp=["another.example"],
    )
    for domain in ("montague.example", "other.example", "another.example"):
        assert names.covers(domain)


@pytest.mark.clause("CRT-03")
def test_the_common_name_is_never_used(named: Named) -> None:
    names = named(dns=())
    assert not names.covers("montague.example")
    assert names.shown == "no domain"


@pytest.mark.clause("CRT-03")
@pytest.mark.parametrize("kind", ["dns", "srv", "xmpp"])
def test_a_nul_in_any_name_is_an_attempt_to_deceive(named: Named, kind: str) -> None:
    names = {"dns": ["montague.example"], "srv": [], "xmpp": []}
    names[kind] = [*names[kind], "montague.example\0.evil.example"]
    with pytest.raises(IdentifierError, match="NUL"):
        named(**names)


def test_a_strangers_names_are_harmless_to_print(named: Named) -> None:
    names = named(dns=["evil\n\x1b[2J.example", "a" * 9000, *(f"n{i}" for i in range(9))])
    assert names.shown.isprintable()
    assert len(names.shown) < 300
