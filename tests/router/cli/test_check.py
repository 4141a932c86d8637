"""`causeway check`: what it says of a good configuration, and that it changes nothing."""

import json
import socket
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from typer.testing import CliRunner, Result

from bench.peers.nameserver import Nameserver
from router.cli.app import app
from router.xmpp.reader import IMPLEMENTATION
from tests.support.certificate_files import BOTH_USES, write_certificate

GOOD = """\
[listen]
s2s = ["127.0.0.1:0"]
s2s_direct_tls = []
components = []
http = "127.0.0.1:0"
[domains."montague.example"]
attach = "component"
secret = "s3cr3t"
"""


def check(
    directory: Path,
    *options: str,
    names: tuple[str, ...] = (),
    more: str = "",
    inside: bool = False,
    days: int = 30,
    uses: tuple[ObjectIdentifier, ...] = BOTH_USES,
) -> Result:
    certs = directory / "certs"
    own = certs / "montague.example.crt", certs / "montague.example.key"
    write_certificate(*own, names=names, days=days, uses=uses)
    file = directory / "causeway.toml"
    listen = '[listen]\ninside = ["127.0.0.1:0"]' if inside else "[listen]"
    file.write_text(GOOD.replace("[listen]", listen) + more)
    return CliRunner().invoke(app, ["check", "--config", str(file), *options])


def test_a_good_configuration(tmp_path: Path) -> None:
    result = check(tmp_path)
    assert result.exit_code == 0
    assert "causeway.toml: ok\n" in result.output
    assert "stanza reader: " in result.output
    assert " MiB at most (" in result.output
    assert "montague.example: component, certificate until" in result.output
    assert "(30 days), for server and client\n" in result.output
    assert "will be created" in result.output
    assert "s3cr3t" not in result.output
    assert not (tmp_path / "dialback.secret").exists()


def test_the_routers_own_address_is_listed_too(tmp_path: Path) -> None:
    relay = "relay.montague.example"
    result = check(tmp_path, names=("montague.example", relay), more=f'[e2e]\njid = "{relay}"\n')
    assert result.exit_code == 0, result.output
    assert f"{relay}: router, certificate until" in result.output


@pytest.mark.parametrize(
    ("uses", "text"),
    [
        ((), "for server and client"),
        ((ExtendedKeyUsageOID.SERVER_AUTH,), "for server; some peers will want dialback"),
        ((ExtendedKeyUsageOID.CODE_SIGNING,), "for neither server nor client"),
    ],
)
def test_what_the_certificate_is_for(
    tmp_path: Path, uses: tuple[ObjectIdentifier, ...], text: str
) -> None:
    assert text in check(tmp_path, uses=uses).output


def test_a_certificate_that_has_expired(tmp_path: Path) -> None:
    result = check(tmp_path, days=-3)
    assert result.exit_code == 1
    assert "montague.example.crt has expired" in result.output
    assert "causeway.toml: ok" not in result.output


def test_a_certificate_that_soon_ends_is_warned_of(tmp_path: Path) -> None:
    result = check(tmp_path, days=5)
    assert result.exit_code == 0
    assert "warning: " in result.output and "expires in 5 days" in result.output


def test_a_port_that_somebody_else_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("CAUSEWAY__LISTEN__S2S", f'["127.0.0.1:{port}"]')
        result = check(tmp_path, "--json")
    assert result.exit_code == 1
    (problem,) = json.loads(result.output)["problems"]
    assert problem["key"] == "listen.s2s"
    assert problem["message"] == f"cannot listen on 127.0.0.1:{port} (s2s): Address already in use"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "montague.example"], "goes with DOMAIN"),
        (["capulet.example", "--from", "verona.example"], "verona.example is not hosted here"),
        (["montague.example"], "montague.example is hosted here"),
        (["not a domain"], "DOMAIN"),
    ],
)
def test_questions_that_make_no_sense(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = check(tmp_path, *arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_a_domain_that_cannot_be_reached(tmp_path: Path) -> None:
    with Nameserver({}) as server:
        dns = f'[dns]\nresolvers = ["{server.address}"]\n'
        result = check(tmp_path, "capulet.example", more=dns)
        as_json = check(tmp_path, "capulet.example", "--json", more=dns)
    assert (result.exit_code, as_json.exit_code) == (1, 1)
    assert result.output.startswith("capulet.example as montague.example sees it\n")
    assert "No stream can be opened (remote-server-not-found: " in result.output
    printed = json.loads(as_json.output)
    assert (printed["ok"], printed["remote"]) == (False, "capulet.example")
    assert printed["own_certificate"]["days_left"] == 30


def test_a_certificate_for_another_domain(tmp_path: Path) -> None:
    result = check(tmp_path, "--json", names=("capulet.example",))
    assert result.exit_code == 1
    printed = json.loads(result.output)
    assert printed["ok"] is False
    assert [each["key"] for each in printed["problems"]] == ["tls.certificates"]
    assert "not montague.example" in printed["problems"][0]["message"]


def test_as_json(tmp_path: Path) -> None:
    printed = json.loads(check(tmp_path, "--json").output)
    assert printed["ok"] is True
    assert printed["problems"] == []
    assert printed["reader"] == IMPLEMENTATION
    (domain,) = printed["domains"]
    assert (domain["domain"], domain["attach"]) == ("montague.example", "component")
    assert domain["certificate"]["days_left"] == 30
    assert domain["certificate"]["client_auth"] is True


def test_a_bad_configuration(tmp_path: Path) -> None:
    file = tmp_path / "causeway.toml"
    file.write_text(GOOD + "colour = 1\n")
    result = CliRunner().invoke(app, ["check", "--config", str(file)])
    assert result.exit_code == 2
    lines = [line for line in result.output.splitlines() if line.startswith(str(file))]
    assert 'domains."montague.example".colour: unknown key' in lines[0]
    assert "tls.certificates: there is no directory" in lines[1]


def test_a_limit_on_memory_that_is_too_low_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 300 << 20
    monkeypatch.setattr("router.supervisor.memory_limit.memory_limit_bytes", lambda: limit)
    result = check(tmp_path, "--json")
    report = json.loads(result.output)
    assert result.exit_code == 1
    (problem,) = report["problems"]
    assert problem["key"] == "limits"
    assert "limits.connections" in problem["message"]
    assert report["memory"]["limit_bytes"] == limit < report["memory"]["budget_bytes"]


SERVER = """
[domains."*.montague.example"]
attach = "server"
target = "127.0.0.1:9"
[domains."verona.example"]
attach = "server"
target = "127.0.0.1:9"
"""


def test_servers_behind_the_router_are_listed(tmp_path: Path) -> None:
    names = ("montague.example", "verona.example")
    result = check(tmp_path, names=names, more=SERVER, inside=True)
    assert result.exit_code == 0, result.output
    assert "verona.example: server at 127.0.0.1:9, certificate until" in result.output
    assert "*.montague" not in result.output
    assert "inside.secret will be created" in result.output


def test_a_server_behind_the_router_is_looked_at_from_inside(tmp_path: Path) -> None:
    names = ("montague.example", "verona.example")
    result = check(tmp_path, "verona.example", names=names, more=SERVER, inside=True)
    assert result.exit_code == 1
    assert "verona.example as stranger.invalid sees it" in result.output
    assert "we show       no certificate" in result.output
    assert "a server behind the router" in result.output
    assert "127.0.0.1 port 9" in result.output
