#!/usr/bin/env python3
"""CONFORMANCE.md from ops/clauses.toml and the marks `clause` of the tests.

Owns no knowledge of any standard: the clauses are data, and whether one is shown is for its tests.
Run it after adding or moving a test of a clause; `--check` only says whether the page is current.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "CONFORMANCE.md"
LEVELS: Final = ("MUST", "SHOULD", "MAY")
_ID: Final = re.compile(r"[A-Z0-9]{3,4}-\d\d")
_INTRODUCTION: Final = """\
# Conformance

What the standards ask of a router between XMPP servers, clause by clause in our words, and the
tests that show it. `ops/conformance.py` writes this page from `ops/clauses.toml` and the tests.

A level marked \\* is our choice, where the source is silent or asks for less. *Not yet* comes with
the feature named; *not done* is left out, for the reason given.
"""


@dataclass(frozen=True, slots=True)
class Clause:
    """One behaviour; `later` names the feature it comes with, `not_done` why it is left out."""

    id: str
    level: str
    source: str
    text: str
    ours: bool = False
    later: str = ""
    not_done: str = ""

    @property
    def area(self) -> str:
        """The letters of its id."""
        return self.id.partition("-")[0]


@dataclass(frozen=True, slots=True, order=True)
class Citation:
    """A test that shows a clause; `case` is the parameter that does, "" for all of them."""

    path: str
    test: str
    case: str = ""

    def __str__(self) -> str:
        return f"{self.test}[{self.case}]" if self.case else self.test


def read_clauses(text: str) -> tuple[dict[str, str], dict[str, Clause]]:
    """Titles of the areas and the clauses by id, in the order of the file.

    Raises TypeError, KeyError or ValueError for what is no file of clauses.
    """
    tables = tomllib.loads(text)
    areas = tables.pop("areas")
    clauses = {}
    for name, table in tables.items():
        area = areas[name.partition("-")[0]]
        if "later" in area:
            table.setdefault("later", area["later"])
        clause = clauses[name] = Clause(id=name, **table)
        if not _ID.fullmatch(name) or clause.level not in LEVELS:
            raise ValueError(f"{name} {clause.level}")
    return {name: area["title"] for name, area in areas.items()}, clauses


def citations(module: ast.Module, path: str) -> Iterator[tuple[str, Citation]]:
    """(clause id, test) for each mark of a test, of a case of it, or of the whole module."""
    values = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    whole = values.pop("pytestmark", None)
    for function in ast.walk(module):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if not function.name.startswith("test_"):
            continue
        marks = {each for one in function.decorator_list for each in marked(one)}
        marks |= set(marked(whole)) if whole is not None else set()
        for each in marks:
            yield each, Citation(path, function.name)
        for name in _names_in(function.decorator_list):
            for case, each in _cases(values.get(name)):
                yield each, Citation(path, function.name, case)


def marked(tree: ast.AST) -> Iterator[str]:
    """The ids in all `mark.clause(…)` within a piece of code."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="clause", value=ast.Attribute(attr="mark"))):
                yield from _ids(node)


def _names_in(trees: list[ast.expr]) -> list[str]:
    nodes = (node for tree in trees for node in ast.walk(tree))
    return [node.id for node in nodes if isinstance(node, ast.Name)]


def _cases(table: ast.expr | None) -> Iterator[tuple[str, str]]:
    """(label, clause id) of the cases in a list of parameters or a dictionary of cases."""
    if isinstance(table, ast.Dict):
        rows = [(key, value) for key, value in zip(table.keys, table.values, strict=True) if key]
    elif isinstance(table, ast.List | ast.Tuple):
        rows = [(_label(row), row) for row in table.elts]
    else:
        return
    for key, value in rows:
        label = key.value if isinstance(key, ast.Constant) else ""
        for each in _ids(value):
            yield str(label), each


def _label(row: ast.expr) -> ast.expr:
    """The expression that names a `pytest.param`, or else the row itself."""
    if not isinstance(row, ast.Call):
        return row
    named = (keyword.value for keyword in row.keywords if keyword.arg == "id")
    return next(named, row.args[0] if row.args else row)


def _ids(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if _ID.fullmatch(text):
                yield text


def read_tests(tests: Path, root: Path = ROOT) -> tuple[dict[str, set[Citation]], list[str]]:
    """Which tests cite which clause, and the marks that no test carries.

    A case that several tests of a file go through is cited for the first of them only.
    """
    cited: dict[str, set[Citation]] = {}
    stray = []
    for file in sorted(tests.rglob("*.py")):
        path = file.relative_to(root).as_posix()
        module = ast.parse(file.read_text(encoding="utf-8"), filename=path)
        seen: dict[tuple[str, str], str] = {}
        found = set()
        for clause, citation in citations(module, path):
            found.add(clause)
            if citation.case:
                first = seen.setdefault((clause, citation.case), citation.test)
                if first != citation.test:
                    continue
            cited.setdefault(clause, set()).add(citation)
        stray += [f"{path}: no test carries the mark {each}" for each in {*marked(module)} - found]
    return cited, stray


def faults(clauses: Mapping[str, Clause], cited: Mapping[str, set[Citation]]) -> list[str]:
    """What is wrong between clauses and tests."""
    wrong = [
        f"{next(iter(sorted(cited[each]))).path}: there is no clause {each}"
        for each in sorted(cited.keys() - clauses.keys())
    ]
    for name, clause in clauses.items():
        if clause.not_done and clause.level == "MUST":
            wrong.append(f"{name} is a MUST, for which not_done is no way out")
        if name in cited and (clause.not_done or clause.later):
            wrong.append(f"{name} is tested: take out its not_done or later")
        if name not in cited and not clause.not_done and not clause.later:
            wrong.append(f"{name} is neither tested nor explained")
    return wrong


def page(
    areas: Mapping[str, str], clauses: Mapping[str, Clause], cited: Mapping[str, set[Citation]]
) -> str:
    """CONFORMANCE.md."""
    lines = [_INTRODUCTION, "| area | tested | not yet | not done |", "| --- | --- | --- | --- |"]
    rows = {name: [each for each in clauses.values() if each.area == name] for name in areas}
    for name, title in {**areas, "": "**all**"}.items():
        row = rows.get(name, list(clauses.values()))
        tested = sum(each.id in cited for each in row)
        left_out = sum(bool(each.not_done) for each in row)
        label = f"{name} {title}" if name else title
        yet = len(row) - tested - left_out
        lines.append(f"| {label} | {tested} of {len(row)} | {yet or ''} | {left_out or ''} |")
    for name, title in areas.items():
        lines += ["", f"## {name}: {title}", ""]
        for clause in rows[name]:
            lines += _entry(clause, cited.get(clause.id, set()))
    return "\n".join(lines) + "\n"


def _entry(clause: Clause, tests: set[Citation]) -> Iterator[str]:
    star = "\\*" if clause.ours else ""
    yield f"- **{clause.id}** {clause.level}{star} ({clause.source}). {clause.text}"
    if clause.not_done:
        yield f"  - *Not done*: {clause.not_done}."
    elif not tests:
        yield f"  - *Not yet*: {clause.later or 'no test shows it'}."
    for path in sorted({each.path for each in tests}):
        before, names = "", []
        for each in sorted(each for each in tests if each.path == path):
            names.append(f"`[{each.case}]`" if each.test == before else f"`{each}`")
            before = each.test
        yield f"  - `{path}`: {', '.join(names)}"


def main(arguments: list[str]) -> int:
    """Write the page, or with --check compare it; the exit code."""
    areas, clauses = read_clauses((ROOT / "ops" / "clauses.toml").read_text(encoding="utf-8"))
    cited, wrong = read_tests(ROOT / "tests")
    wrong += faults(clauses, cited)
    current = page(areas, clauses, cited)
    if arguments != ["--check"]:
        PAGE.write_text(current, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != current:
        wrong.append("CONFORMANCE.md is not current: run ops/conformance.py")
    for each in wrong:
        print(f"conformance: {each}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
