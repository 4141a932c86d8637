"""The reader against two strict oracles: mutated stanzas, generated ones, and cases once found.

A short run of what `make fuzz` does at length; the same cases each time.
"""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.xmpp import names
from router.xmpp.pair import DomainPair
from router.xmpp.reader import Counts, End, Run
from tests.fuzz import campaign, oracle
from tests.fuzz.differential import CLOSING, Case, check, compare
from tests.fuzz.mutate import BOUNDS, HEADERS
from tests.fuzz.oracle import ByExpat
from tests.fuzz.oracle_rules import Bounds
from tests.fuzz.test_reader import MESSAGE, payload, soup

CASES = 1500
KEPT = list(campaign.kept())
HEADER = HEADERS[0][1].encode()


@pytest.mark.clause("XML-01", "XML-02", "XML-03", "XML-04", "XML-05", "XML-06", "XML-07", "RTE-14")
def test_mutated_stanzas_are_read_as_the_oracles_read_them() -> None:
    tally = campaign.batch((20, 0, CASES))
    assert tally.different == []
    assert 0.2 < tally.accepted / CASES < 0.8  # or one side of the accept set goes unseen


@pytest.mark.parametrize("case", [case for _, case in KEPT], ids=[name for name, _ in KEPT])
def test_what_was_found_once_stays_right(case: Case) -> None:
    assert campaign.differs(case) == ""


@pytest.mark.clause("XML-01", "XML-02", "XML-03", "XML-08")
@given(soup, st.sampled_from(BOUNDS), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_any_content_of_a_stanza(inner: bytes, bounds: Bounds, cuts: random.Random) -> None:
    octets = HEADER + MESSAGE + inner + b"</message>" + MESSAGE + b"</message>" + CLOSING
    assert check(Case(octets, names.SERVER, bounds), cuts).difference == ""


@pytest.mark.clause("RTE-14", "RTE-15", "RTE-16", "STR-19")
@given(payload, st.sampled_from([header for header in HEADERS if " xmlns='jabber:" in header[1]]))
@settings(max_examples=150, deadline=None)
def test_generated_stanzas_leave_as_they_came(inner: str, header: tuple[str, str]) -> None:
    content, opened = header
    declared = "" if "xmlns:db=" in opened else " xmlns:db='w'"
    stanza = f"<message from='a.example' to='b.example'{declared}>{inner}</message>"
    outcome = check(Case(opened.encode() + stanza.encode() + CLOSING, content))
    assert outcome.difference == ""
    assert outcome.is_accepted


PAIR = DomainPair("a.example", "b.example")
ONE = b"<message from='a.example' to='b.example'><x xmlns='u' a='1'>t</x></message>"


@pytest.mark.parametrize(
    "written",
    [
        ONE.replace(b"'1'", b"'2'"),
        ONE.replace(b">t<", b">t <"),
        ONE.replace(b" xmlns='u'", b""),
        ONE.replace(b"<x", b"<y").replace(b"</x", b"</y"),
        ONE.replace(b"<message", b"<message xml:lang='de'"),
        ONE.replace(b"<message", b"<presence").replace(b"</message", b"</presence"),
        ONE.replace(b"<x xmlns='u'", b"<p:x").replace(b"</x", b"</p:x"),
    ],
    ids=lambda octets: octets.decode()[:60],
)
def test_a_reader_that_changed_a_stanza_would_be_seen(written: bytes) -> None:
    case = Case(HEADER + ONE + CLOSING)
    expected = oracle.read(case.octets, case.content, case.bounds, ByExpat)
    one = Counts(1, 0, 0)
    assert compare(case, expected, [Run(PAIR, one, ONE), End()]) == ""
    assert compare(case, expected, [Run(PAIR, one, written), End()]) != ""
    assert compare(case, expected, [Run(PAIR, one, ONE)]) != ""
    assert compare(case, expected, [Run(PAIR, Counts(2, 0, 0), ONE + ONE), End()]) != ""
    assert compare(case, expected, [End()]) != ""


def test_a_case_is_the_same_for_the_same_seed() -> None:
    first, second = ([campaign.seeded(f"7.{index}")[0] for index in range(50)] for _ in range(2))
    assert first == second
    assert Counter(first).most_common(1)[0][1] < 3
