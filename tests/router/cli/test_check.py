"""`causeway check`: what it says of a good configuration, and that it changes nothing."""

import json
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from typer.testing import CliRunner, Result

from router.cli.app import app
from tests.support.certificate_files import BOTH_USES, write_certificate

GOOD = '[domains."montague.example"]\nattach = "component"\nsecret = "s3cr3t"\n'


def check(
    directory: Path,
    *options: str,
    names: tuple[str, ...] = (),
    days: int = 30,
    uses: tuple[ObjectIdentifier, ...] = BOTH_USES,
) -> Result:
    certs = directory / "certs"
    own = certs / "montague.example.crt", certs / "montague.example.key"
    write_certificate(*own, names=names, days=days, uses=uses)
    file = directory / "causeway.toml"
    file.write_text(GOOD)
    return CliRunner().invoke(app, ["check", "--config", str(file), *options])


def test_a_good_configuration(tmp_path: Path) -> None:
    result = check(tmp_path)
    assert result.exit_code == 0
    assert "causeway.toml: ok\n" in result.output
    assert "montague.example: component, certificate until" in result.output
    assert "(30 days), for server and client\n" in result.output
    assert "will be created" in result.output
    assert "s3cr3t" not in result.output
    assert not (tmp_path / "dialback.secret").exists()


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
