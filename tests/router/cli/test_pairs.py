"""`causeway pairs`: the table and the JSON."""

import json
from pathlib import Path

from typer.testing import CliRunner

from router.cli.app import app
from router.cli.pairs import cells
from tests.router.cli.conftest import Pretend

ROW = {
    "local": "montague.example",
    "remote": "capulet.example",
    "stream": "a0.1/3",
    "streams": ["a0.1/3", "a1.1/9"],
    "dialling": [],
    "backlog_stanzas": 0,
    "backlog_bytes": 0,
}
WAITS = {**ROW, "remote": "a.example", "stream": None, "streams": [], "dialling": ["a0.1"]}


def pairs(config: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["pairs", "--config", str(config), *options])
    return result.exit_code, result.output


def test_the_table_is_sorted(good_config: Path, pretend_router: Pretend) -> None:
    pretend_router("/api/pairs", 200, json.dumps([ROW, WAITS]).encode())
    code, output = pairs(good_config)
    assert code == 0
    _, first, second = (line.split() for line in output.splitlines())
    assert first == ["montague.example", "a.example", "-", "0", "yes", "0", "0"]
    assert second == ["montague.example", "capulet.example", "a0.1/3", "2", "no", "0", "0"]


def test_json_is_what_the_router_said(good_config: Path, pretend_router: Pretend) -> None:
    pretend_router("/api/pairs", 200, json.dumps([ROW]).encode())
    code, output = pairs(good_config, "--json")
    assert (code, json.loads(output)) == (0, [ROW])


def test_none_and_not_running(good_config: Path, pretend_router: Pretend) -> None:
    pretend_router("/api/pairs", 200, b"[]")
    assert pairs(good_config) == (0, "no pairs\n")
    pretend_router("/api/pairs", 503, b"")
    assert pairs(good_config)[0] == 1


def test_what_a_peer_chose_is_harmless() -> None:
    assert cells({**ROW, "remote": "evil\x1b[2J"})[1] == "evil\\u001b[2J"
