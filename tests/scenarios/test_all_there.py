"""Every behaviour of other servers that the notes on peers number has a test that cites it."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
SCENARIOS = range(1, 52)


def cited() -> Iterator[int]:
    """The numbers in every `@pytest.mark.scenario(…)` under tests/."""
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.scenario":
                yield from (ast.literal_eval(each) for each in node.args)


def test_every_scenario_is_cited_and_no_other() -> None:
    assert set(cited()) == set(SCENARIOS)
