"""`causeway streams`: the table and the JSON."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from router.cli.app import app
from router.cli.streams import COLUMNS, cells
from tests.router.cli.conftest import Pretend

ROW = {
    "acceptor": "a0.1",
    "number": 7,
    "direction": "in",
    "local": "montague.example",
    "remote": "capulet.example",
    "state": "open",
    "auth": "external",
    "bidi": True,
    "pairs": ["capulet.example to montague.example", "montague.example to capulet.example"],
    "tls": "TLSv1.3",
    "address": "192.0.2.1:40000",
    "stanzas_in": 12,
    "stanzas_out": 3,
    "age_s": 61.5,
}


def streams(config: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        app, ["streams", "--config", str(config), *options], env={"COLUMNS": "200"}
    )
    return result.exit_code, result.output


def shown(**changes: object) -> dict[str, str]:
    return dict(zip([key for _, key in COLUMNS], cells({**ROW, **changes}), strict=True))


def test_the_table(
    good_config: Path, pretend_router: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_router("/api/streams", 200, json.dumps([ROW]).encode())
    code, output = streams(good_config)
    assert code == 0
    titles, row = (line.split() for line in output.splitlines())
    assert titles == [title for title, _ in COLUMNS]
    assert row[:4] == ["a0.1/7", "in", "montague.example", "capulet.example"]
    assert row[4:8] == ["open", "external", "yes", "2"]
    assert row[-4:] == ["12", "3", "62", "s"]


def test_json_is_what_the_router_said(good_config: Path, pretend_router: Pretend) -> None:
    pretend_router("/api/streams", 200, json.dumps([ROW]).encode())
    code, output = streams(good_config, "--json")
    assert (code, json.loads(output)) == (0, [ROW])


def test_none(good_config: Path, pretend_router: Pretend) -> None:
    pretend_router("/api/streams", 200, b"[]")
    assert streams(good_config) == (0, "no open streams\n")
    assert json.loads(streams(good_config, "--json")[1]) == []


def test_cells() -> None:
    assert shown()["pairs"] == "2"
    assert shown(pairs=["a to b"])["pairs"] == "1"
    assert shown(bidi=False)["bidi"] == "no"
    assert shown(tls=None)["tls"] == "-"


def test_what_a_peer_chose_is_harmless(good_config: Path, pretend_router: Pretend) -> None:
    assert shown(remote="evil\x1b[2J\u202e")["remote"] == "evil\\u001b[2J\\u202e"
    row = {**ROW, "remote": "[bold]loud[/bold]"}
    pretend_router("/api/streams", 200, json.dumps([row]).encode())
    assert "[bold]loud[/bold]" in streams(good_config)[1]


def test_not_running(good_config: Path) -> None:
    code, output = streams(good_config)
    assert code == 1
    assert "no router answers" in output
