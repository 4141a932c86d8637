"""A certificate in words, also one that was made to do harm."""

import datetime
from pathlib import Path

import pytest
from cryptography.x509 import Certificate, load_pem_x509_certificates

from bench.authority import Authority, KeyKind
from router.cli.check_certificate import described, expiry_warning, purposes


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path)


def leaf(file: Path) -> Certificate:
    return load_pem_x509_certificates(file.read_bytes())[0]


def test_all_that_counts_for_xmpp(authority: Authority) -> None:
    file, _ = authority.issue(
        "a.example",
        dns=("a.example", "*.b.example"),
        srv=("_xmpp-server.c.example", "_imap.d.example"),
        xmpp=("e.example",),
        eku="both",
    )
    said = described(leaf(file))
    assert said["names"] == [
        "a.example",
        "*.b.example",
        "SRV _xmpp-server.c.example",
        "XmppAddr e.example",
    ]
    assert said["key"] == "EC secp256r1"
    assert said["days_left"] in (89, 90)
    assert said["issuer"] == "CN=Throw-away CA"
    assert purposes(said) == "server and client"


@pytest.mark.parametrize(
    ("kind", "key"), [("rsa2048", "RSA 2048"), ("ed25519", "Ed25519"), ("ec224", "EC secp224r1")]
)
def test_the_key(authority: Authority, kind: KeyKind, key: str) -> None:
    assert described(leaf(authority.issue("a.example", key=kind)[0]))["key"] == key


def test_a_hostile_name_is_escaped_or_refused(authority: Authority) -> None:
    nul = described(leaf(authority.issue("x", dns=("a.example\0b.example",))[0]))
    assert "names" not in nul and "NUL" in nul["fault"]
    many = described(leaf(authority.issue("y", dns=[f"a{n}.example" for n in range(99)])[0]))
    assert len(many["names"]) == 16
    control = described(leaf(Authority.make(authority.directory, "a\x1b[31m\u202eb").issue("z")[0]))
    assert control["issuer"] == "CN=a\\u001b[31m\\u202eb"


@pytest.mark.parametrize(
    ("days", "warning"),
    [(-1, "has expired"), (0, "expires in 0 days"), (13, "expires in 13 days"), (14, "")],
)
def test_when_to_warn(authority: Authority, days: int, warning: str) -> None:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days, hours=1)
    said = described(leaf(authority.issue("a.example", not_after=end)[0]))
    assert expiry_warning(said) == warning
