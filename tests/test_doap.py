"""causeway.doap, which XMPP's list of software reads, claims no more than the tests show."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from lxml import etree

from ops.conformance import ROOT, Clause, read_clauses, read_tests

DOAP = "{http://usefulinc.com/ns/doap#}"
XMPP = "{https://linkmauve.fr/ns/xmpp-doap#}"
RESOURCE = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}resource"
STATES = {"complete", "partial", "planned", "wontfix"}


class Supported(NamedTuple):
    """A XEP by its four digits, and what the file says of it."""

    number: str
    version: str
    status: str


@pytest.fixture(scope="module")
def project() -> etree._Element:
    (found,) = etree.parse(ROOT / "causeway.doap").getroot()
    assert found.tag == f"{DOAP}Project"
    return found


@pytest.fixture(scope="module")
def supported(project: etree._Element) -> list[Supported]:
    found = []
    for each in project.iter(f"{XMPP}SupportedXep"):
        address = each.find(f"{XMPP}xep").attrib[RESOURCE]
        number = re.fullmatch(r"https://xmpp\.org/extensions/xep-(\d{4})\.html", address)
        assert number is not None, address
        version, status = (each.findtext(f"{XMPP}{name}", "") for name in ("version", "status"))
        found.append(Supported(number[1], version, status))
    return found


@pytest.fixture(scope="module")
def clauses() -> dict[str, Clause]:
    _, found = read_clauses((ROOT / "ops" / "clauses.toml").read_text())
    return found


@pytest.fixture(scope="module")
def cited() -> set[str]:
    found, _ = read_tests(ROOT / "tests")
    return set(found)


def of(clauses: dict[str, Clause], document: str) -> Iterator[str]:
    """The clauses that this document is a source of."""
    for clause in clauses.values():
        if re.search(rf"{document}\b", clause.source):
            yield clause.id


def test_it_says_what_the_list_shows(project: etree._Element) -> None:
    for name in ("name", "shortdesc", "description", "programming-language", "os"):
        assert project.findtext(f"{DOAP}{name}")
    categories = [each.attrib[RESOURCE] for each in project.iter(f"{DOAP}category")]
    assert "https://linkmauve.fr/ns/xmpp-doap#category-server" in categories
    assert (ROOT / "causeway.doap").read_text().startswith('<?xml version="1.0" encoding="UTF-8"?>')


def test_every_entry_is_complete_and_there_is_one_of_each(supported: list[Supported]) -> None:
    assert {each.status for each in supported} <= STATES
    assert [each for each in supported if not re.fullmatch(r"\d+(\.\d+)+", each.version)] == []
    assert len({each.number for each in supported}) == len(supported)
    assert supported == sorted(supported)


def test_what_is_complete_is_tested_clause_by_clause(
    supported: list[Supported], clauses: dict[str, Clause], cited: set[str]
) -> None:
    for each in supported:
        found = of(clauses, f"XEP-{each.number}")
        sources = {name for name in found if not clauses[name].later}  # SMX-06 has two documents
        if each.status == "complete":
            assert sources, each
            assert sources - cited == set(), each
        elif each.status == "partial":
            assert sources & cited, each


def test_what_is_planned_is_no_claim(
    supported: list[Supported], clauses: dict[str, Clause], cited: set[str]
) -> None:
    for each in supported:
        if each.status == "planned":
            found = (clauses[name] for name in of(clauses, f"XEP-{each.number}"))
            assert all(clause.later for clause in found), each


def test_every_xep_with_clauses_is_listed(
    supported: list[Supported], clauses: dict[str, Clause], cited: set[str]
) -> None:
    named = {
        number
        for name in cited
        if name in clauses
        for number in re.findall(r"XEP-(\d{4})", clauses[name].source)
    }
    assert named - {each.number for each in supported} == set()


def test_the_rfcs_have_tests(
    project: etree._Element, clauses: dict[str, Clause], cited: set[str]
) -> None:
    for each in project.iter(f"{DOAP}implements"):
        if (address := each.get(RESOURCE)) is not None:
            number = address.removeprefix("https://www.rfc-editor.org/info/rfc")
            assert set(of(clauses, f"RFC {number}")) & cited, address
