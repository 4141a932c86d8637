"""The page of clauses: it is current, and a mark never goes astray on its way into it."""

import ast
from pathlib import Path

import pytest

from ops.conformance import ROOT, Citation, Clause, citations, faults, main, page, read_clauses
from ops.conformance import read_tests as read

CLAUSES = """
[areas.STR]
title = "Streams"
[areas.SMX]
title = "Management"
later = "its own issue"
[STR-01]
level = "MUST"
ours = true
source = "RFC 6120 4.7"
text = "One."
[STR-02]
level = "MAY"
source = "RFC 6120 4.8"
text = "Two."
not_done = "nobody wants it"
[SMX-01]
level = "SHOULD"
source = "XEP-0198 2"
text = "Three."
"""


def found(code: str) -> set[tuple[str, str]]:
    return {(clause, str(test)) for clause, test in citations(ast.parse(code), "tests/test_x.py")}


def test_the_page_is_current_and_every_clause_is_tested_or_explained(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["--check"])
    assert (status, capsys.readouterr().err) == (0, "")


def test_clauses_have_short_sentences_of_their_own() -> None:
    areas, clauses = read_clauses((ROOT / "ops/clauses.toml").read_text())
    assert {each.area for each in clauses.values()} == areas.keys()
    assert len({each.text for each in clauses.values()}) == len(clauses)
    for clause in clauses.values():
        assert clause.text.endswith(".")
        assert len(clause.text) <= 220, clause.id
        assert not clause.not_done.endswith(".")


def test_marks_are_found_on_functions_and_on_the_module() -> None:
    code = """
pytestmark = [pytest.mark.asyncio, pytest.mark.clause("STR-01")]
@pytest.mark.clause("STR-02", "TLS-03")
async def test_a(): ...
def test_b(): ...
@pytest.mark.clause("STR-04")
def helper(): ...
"""
    assert found(code) == {
        ("STR-01", "test_a"),
        ("STR-02", "test_a"),
        ("TLS-03", "test_a"),
        ("STR-01", "test_b"),
    }


def test_marks_are_found_in_parameters() -> None:
    code = """
CASES = [pytest.param(1, id="one", marks=pytest.mark.clause("STR-01")), pytest.param("two",
    marks=pytest.mark.clause("STR-02")), "XML-01"]
ROWS = {"three": Case("a", "STR-03"), "four": Case("b", ""), **OTHERS}
UNUSED = [pytest.param(9, marks=pytest.mark.clause("STR-09"))]
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("more", [pytest.param(5, marks=pytest.mark.clause("STR-05"))])
def test_a(case, more): ...
@parametrized(ROWS)
def test_b(case): ...
"""
    assert found(code) == {
        ("STR-01", "test_a[one]"),
        ("STR-02", "test_a[two]"),
        ("XML-01", "test_a[XML-01]"),
        ("STR-05", "test_a"),
        ("STR-03", "test_b[three]"),
    }


def test_a_mark_that_no_test_carries_is_told(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text("CASES = [p(1, marks=pytest.mark.clause('STR-09'))]\n")
    cited, stray = read(tmp_path, tmp_path)
    assert cited == {}
    assert stray == ["test_x.py: no test carries the mark STR-09"]


def test_a_case_of_two_tests_is_cited_once(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        "CASES = [p('a', marks=pytest.mark.clause('STR-09'))]\n"
        "@parametrize(CASES)\ndef test_one(): ...\n"
        "@parametrize(CASES)\ndef test_two(): ...\n"
    )
    cited, _ = read(tmp_path, tmp_path)
    assert cited == {"STR-09": {Citation("test_x.py", "test_one", "a")}}


def test_what_is_wrong_between_clauses_and_tests() -> None:
    _, clauses = read_clauses(CLAUSES)
    test = {Citation("tests/test_x.py", "test_a")}
    assert faults(clauses, {"STR-01": test}) == []
    assert faults(clauses, {"STR-01": test, "STR-03": test}) == [
        "tests/test_x.py: there is no clause STR-03"
    ]
    assert faults(clauses, {}) == ["STR-01 is neither tested nor explained"]
    assert faults(clauses, {"STR-01": test, "STR-02": test, "SMX-01": test}) == [
        "STR-02 is tested: take out its not_done or later",
        "SMX-01 is tested: take out its not_done or later",
    ]
    must = Clause("STR-01", "MUST", "s", "t.", not_done="too hard")
    assert faults({"STR-01": must}, {}) == ["STR-01 is a MUST, for which not_done is no way out"]


def test_the_page() -> None:
    areas, clauses = read_clauses(CLAUSES)
    tests = {
        Citation("tests/test_x.py", "test_a", "one"),
        Citation("tests/test_x.py", "test_a", "two"),
        Citation("tests/test_y.py", "test_b"),
    }
    text = page(areas, clauses, {"STR-01": tests})
    assert "| STR Streams | 1 of 2 |  | 1 |\n| SMX Management | 0 of 1 | 1 |  |\n" in text
    assert "| **all** | 1 of 3 | 1 | 1 |\n" in text
    assert text.endswith(
        """
## STR: Streams

- **STR-01** MUST\\* (RFC 6120 4.7). One.
  - `tests/test_x.py`: `test_a[one]`, `[two]`
  - `tests/test_y.py`: `test_b`
- **STR-02** MAY (RFC 6120 4.8). Two.
  - *Not done*: nobody wants it.

## SMX: Management

- **SMX-01** SHOULD (XEP-0198 2). Three.
  - *Not yet*: its own issue.
"""
    )


@pytest.mark.parametrize("wrong", ["MUST NOT", "must", ""])
def test_a_level_that_is_none(wrong: str) -> None:
    with pytest.raises(ValueError, match="STR-01"):
        read_clauses(CLAUSES.replace('"MUST"', f'"{wrong}"'))
