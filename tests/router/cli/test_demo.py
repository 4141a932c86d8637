"""`causeway demo`: hands over to the demo, or says what is missing for it."""

import sys

import pytest
from typer.testing import CliRunner

import bench.demo
from router.cli.app import app


@pytest.mark.parametrize("arguments, amount", [([], 1000), (["--messages", "50"], 50)])
def test_the_exit_code_is_the_demos(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], amount: int
) -> None:
    asked: list[int] = []

    def run(messages: int, _screen: object) -> int:
        asked.append(messages)
        return 1

    monkeypatch.setattr(bench.demo, "run", run)
    assert CliRunner().invoke(app, ["demo", *arguments]).exit_code == 1
    assert asked == [amount]


def test_without_slixmpp_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("bench.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "slixmpp", None)
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 1
    assert "pip install 'causeway[bench]'" in result.stderr
