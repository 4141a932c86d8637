"""`causeway init`: the sample it writes is the one in ops/, loads, and tells the true defaults."""

import os
import re
import tomllib
from pathlib import Path

from typer.testing import CliRunner

from router.cli.app import app
from router.cli.init import SAMPLE
from router.config import Config, Domain
from router.config_file import load
from tests.support.certificate_files import write_certificate

OPS = Path(__file__).parents[3] / "ops" / "causeway.toml"

# What the sample shows by example because the default depends on the machine or is none.
EXAMPLES = {"processes": {"acceptors", "workers", "run_dir"}, "dns": {"resolvers"}}


def test_it_writes_the_sample_of_ops_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "causeway.toml"
    result = CliRunner().invoke(app, ["init", str(file)])
    assert result.exit_code == 0
    assert file.read_text() == SAMPLE == OPS.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    file = tmp_path / "causeway.toml"
    file.write_text("mine")
    result = CliRunner().invoke(app, ["init", str(file)])
    assert result.exit_code == 1
    assert "is there already" in result.output
    assert file.read_text() == "mine"


def test_a_directory_that_is_missing_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["init", str(tmp_path / "no" / "causeway.toml")])
    assert result.exit_code == 1
    assert "No such file or directory" in result.output


def test_the_sample_needs_but_a_secret_and_certificates(tmp_path: Path) -> None:
    certs = tmp_path / "certs"
    write_certificate(certs / "montague.example.crt", certs / "montague.example.key")
    file = tmp_path / "causeway.toml"
    file.write_text(SAMPLE.replace('secret = ""', 'secret = "x"'))
    config = load(file, os.environ)
    assert config.domains == {"montague.example": Domain("component", secret="x")}


def test_what_the_sample_comments_out_is_complete_and_the_default() -> None:
    shown = tomllib.loads(re.sub(r"^#(?=[\[\w]+[\w. \"\]]*(?: *= |$))", "", SAMPLE, flags=re.M))
    defaults = Config().to_plain()
    tables = ("listen", "processes", "tls", "dialback", "inside", "dns", "dial", "log", "limits")
    defaults["inside"]["trust_anchors"] = defaults["tls"]["trust_anchors"]
    for table in tables:
        expected = {key: value for key, value in defaults[table].items() if key != "secret"}
        assert shown[table].keys() == expected.keys(), table
        for key in expected.keys() - EXAMPLES.get(table, set()):
            assert shown[table][key] == expected[key], (table, key)
    assert shown["peers"]["capulet.example"]["target"] == "192.0.2.1:5269"
