"""`causeway bench fake`: what it needs to start, said when it is missing."""

from pathlib import Path

from typer.testing import CliRunner

from bench.authority import Authority
from bench.commands import app
from bench.peers.fakes.profiles import PROFILES


def fake(certificate: Path, *more: str) -> tuple[int, str]:
    arguments = ["fake", "plain", "--domain", "a.example", "--certificate", str(certificate), *more]
    result = CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments)
    return result.exit_code, result.output


def test_a_fake_without_a_certificate_says_so(tmp_path: Path) -> None:
    code, output = fake(tmp_path / "a.crt")
    assert code == 2
    assert f"there is no file {tmp_path / 'a.crt'}" in output
    for name in ("a.crt", "a.key"):
        (tmp_path / name).write_text("no PEM")
    expected = (1, "cannot start: a PEM file is not what it should be\n")
    assert fake(tmp_path / "a.crt") == expected
    issuer = Authority.make(tmp_path / "ca")
    issuer.issue("a.example")
    certificate = issuer.directory / "a.example.crt"
    assert fake(certificate, "--trust", str(certificate.with_suffix(".key"))) == expected


def test_the_servers_it_can_play_are_listed() -> None:
    listed = CliRunner().invoke(app, ["fake", "--list"]).output.splitlines()
    assert [line.split()[0] for line in listed] == [profile.name for profile in PROFILES.values()]
