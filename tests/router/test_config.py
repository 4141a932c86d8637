"""The values: addresses, defaults, what holds for a peer, and the snapshot of role processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from router.config import (
    Address,
    Config,
    Dialback,
    Domain,
    E2e,
    Express,
    Limits,
    Peer,
    Tls,
    read_snapshot,
    write_snapshot,
)
from router.xmpp.pair import DomainPair

FULL = Config(
    dialback=Dialback(secret="dialback-s3cr3t"),
    domains={
        "montague.example": Domain("component", secret="component-s3cr3t"),
        "münchen.example": Domain("server", target=Address("2001:db8::1", 5269)),
        "a.example": Domain("component", secret_file=Path("/etc/a")),
    },
    peers={
        "*": Peer(require="certificate"),
        "capulet.example": Peer(target=Address("capulet", 1), target_tls="direct", deny=True),
    },
    e2e=E2e(
        secret="e2e-s3cr3t",
        express=(Express("r.example", (DomainPair("montague.example", "b.example"),)),),
    ),
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("[::]:5269", Address("::", 5269)),
        ("[2001:DB8:0::1]:0", Address("2001:db8::1", 0)),
        ("127.0.0.1:65535", Address("127.0.0.1", 65535)),
        ("Backend.Example:5347", Address("backend.example", 5347)),
    ],
)
def test_an_address_is_read_and_written(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", "5269", ":5269", "host:", "host:x", "host:-1", "host:65536", "::1:5269", "[::1]", "[x]:1",
     "1.2.3:4", "1.2.3.256:4", "a b:1", "host:٣"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Address.parse(text)


def test_a_port_that_is_too_high_is_named_as_the_fault() -> None:
    with pytest.raises(ValueError, match="a port is from 0 to 65535"):
        Address.parse("localhost:65536")


def test_what_a_peer_can_do_is_as_learned_unless_it_is_said() -> None:
    said = {"capulet.example": {"external": True, "multiplex": False}}
    config = Config.from_plain({"peers": said})
    capulet, other = config.peer("capulet.example"), config.peer("tybalt.example")
    assert (capulet.external, capulet.multiplex, capulet.reverse_dialback) == (True, False, None)
    assert (other.external, other.multiplex, other.reverse_dialback) == (None, None, None)
    assert Config.from_plain(config.to_plain()) == config
    with pytest.raises(ValueError, match="true or false"):
        Config.from_plain({"peers": {"capulet.example": {"external": "yes"}}})


def test_hosted_domains_keep_their_order() -> None:
    assert FULL.hosted == ("montague.example", "münchen.example", "a.example")


def test_a_peer_has_its_own_entry_or_the_one_for_any() -> None:
    assert FULL.peer("capulet.example").deny
    assert FULL.peer("other.example") == Peer(require="certificate")
    assert Config().peer("other.example") == Peer()


def test_an_address_is_no_domain_unless_it_is_listed() -> None:
    """Reliability C5: it would have us dial whatever a stranger names."""
    listed = Config(peers={"127.0.0.3": Peer(), "*": Peer(), "*.0.0.3": Peer()})
    for domain in ("127.0.0.4", "[::1]", "169.254.169.254", "2130706433", "127.1", "a.0x7f"):
        assert Config().refuses(domain)
        assert listed.refuses(domain)
    assert not listed.refuses("127.0.0.3")
    assert not Config().refuses("3.example")
    assert not Config().refuses("0x7f.example")


def test_certificates_are_looked_for_by_a_labels() -> None:
    flat, nested = Tls(certificates=Path("/c")).certificate_files("münchen.example")
    name = "xn--mnchen-3ya.example"
    assert flat == (Path(f"/c/{name}.crt"), Path(f"/c/{name}.key"))
    assert nested == (Path(f"/c/{name}/fullchain.pem"), Path(f"/c/{name}/privkey.pem"))


def test_the_snapshot_gives_back_the_same_values(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for config in (Config(), FULL):
        write_snapshot(config, path)
        assert read_snapshot(path) == config
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_snapshot_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(Config().to_plain() | {"listne": {}}))
    with pytest.raises(ValueError, match=r"listne: unknown key"):
        read_snapshot(path)


def test_no_secret_shows() -> None:
    assert "s3cr3t" not in repr(FULL)


def test_defaults_are_the_documented_ones() -> None:
    limits = Limits()
    assert (limits.max_stanza_bytes, limits.max_preauth_bytes) == (262_144, 16_384)
    assert (limits.max_depth, limits.max_attributes, limits.max_elements) == (64, 64, 4096)
    assert limits.handshake_timeout_s == 60
    assert limits.lane_window_bytes == 2 * 1024 * 1024
    assert (limits.backlog_bytes, limits.backlog_stanzas, limits.backlog_s) == (1 << 20, 1000, 30)
    assert (limits.idle_check_s, limits.unanswered_check_s) == (300, 60)
    assert limits.unread_output_s == 120
    assert (limits.component_grace_s, limits.output_buffer_bytes) == (3, 16 * 1024 * 1024)
    assert (limits.stream_bytes_per_s, limits.stream_stanzas_per_s) == (0, 0)
    config = Config()
    assert config.tls.required
    assert config.dialback.enabled
    assert not config.dial.allow_private_addresses
    assert [str(each) for each in config.listen.s2s] == ["[::]:5269"]


def test_a_role_process_needs_the_standard_library_and_idna_only() -> None:
    program = "import sys, router.config; print(*{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"pydantic", "cryptography", "typer", "dns", "zmq"} & set(run.stdout.split())


def test_every_secret_is_known_and_none_is_shown() -> None:
    """`router.log` takes out of every line what this returns."""
    secrets = ("dialback-s3cr3t", "e2e-s3cr3t", "component-s3cr3t")
    assert FULL.secrets() == secrets
    assert not any(secret in repr(FULL) for secret in secrets)
    assert json.dumps(FULL.to_plain()).count("s3cr3t") == len(secrets)
