"""What commands share: a configuration, or its mistakes on the right stream and exit code 2."""

import json
from pathlib import Path

import pytest
import typer

from router.cli.options import EXIT_BAD_CONFIG, load_or_exit, print_json


def test_json_is_one_readable_document(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"domain": "münchen.example"})
    out = capsys.readouterr().out
    assert "münchen" in out
    assert json.loads(out) == {"domain": "münchen.example"}


def test_mistakes_go_to_standard_error_one_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "causeway.toml"
    file.write_text("a = 1\nb = 2\n")
    with pytest.raises(typer.Exit) as ended:
        load_or_exit(file)
    assert ended.value.exit_code == EXIT_BAD_CONFIG == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith(f"{file}: a: unknown key")
    assert err.splitlines()[1].startswith(f"{file}: b: unknown key")


def test_mistakes_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "missing.toml"
    with pytest.raises(typer.Exit):
        load_or_exit(file, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed == {
        "ok": False,
        "problems": [
            {
                "file": str(file),
                "key": "",
                "message": "cannot be read: No such file or directory",
            }
        ],
    }
