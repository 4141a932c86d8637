"""Cutting runs open, and the errors that go back."""

import gc

import pytest
from lxml import etree

from router.xmpp import names
from router.xmpp.errors import StanzaError
from router.xmpp.stanza import Counts, bounce, cut, may_bounce, result

MESSAGE = b"<message from='a@x.example' to='b@y.example' id='1'><body>&lt;hi&gt;</body></message>"
PRESENCE = b"<presence from='x.example' to='y.example'/>"
IQ = b"<iq from='x.example' to='y.example' id='q' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
TIMEOUT = StanzaError("remote-server-timeout", "wait", "a < b")


def one(octets: bytes):
    (stanza,) = cut(octets)
    return stanza


def test_a_run_is_cut_into_its_stanzas_with_nothing_lost():
    run = MESSAGE + b"\n" + PRESENCE + IQ
    stanzas = list(cut(run))
    assert [s.kind for s in stanzas] == ["message", "presence", "iq"]
    assert b"".join(s.octets for s in stanzas) == run
    assert stanzas[0].attributes["id"] == "1"


def test_nested_stanzas_are_payload():
    inner = b"<message from='x.example' to='y.example'><f xmlns='urn:f'>" + IQ + b"</f></message>"
    assert [s.kind for s in cut(inner)] == ["message"]


def test_counts_add_up():
    assert Counts.one("iq") + Counts(1, 2, 0) == Counts(1, 2, 1)
    assert Counts(1, 2, 1).total == 4


@pytest.mark.clause("RTE-08")
@pytest.mark.parametrize(
    ("octets", "answered"),
    [
        (b"<iq from='a' to='b' id='1' type='get'/>", True),
        (b"<iq from='a' to='b' id='1' type='set'/>", True),
        (b"<iq from='a' to='b' id='1' type='result'/>", False),
        (b"<iq from='a' to='b' id='1' type='error'/>", False),
        (b"<message from='a' to='b' type='error'/>", False),
        (b"<message from='a' to='b' type='result'/>", True),
        (b"<presence from='a' to='b' type='error'/>", False),
        (b"<presence from='a' to='b'/>", True),
    ],
)
def test_errors_and_results_are_never_answered(octets, answered):
    assert may_bounce(one(octets)) is answered


@pytest.mark.clause("RTE-07")
def test_a_bounce_swaps_the_addresses_and_keeps_kind_and_id():
    answer = etree.fromstring(bounce(one(MESSAGE), TIMEOUT))
    assert (answer.tag, dict(answer.attrib)) == (
        "message",
        {"from": "b@y.example", "to": "a@x.example", "id": "1", "type": "error"},
    )
    (error,) = answer
    assert (error.tag, error.get("type")) == ("error", "wait")
    condition, text = error
    assert condition.tag == f"{{{names.STANZA_ERRORS}}}remote-server-timeout"
    assert text.text == "a < b"


@pytest.mark.clause("RTE-07")
def test_a_bounce_of_a_stanza_without_id_has_none():
    assert b" id=" not in bounce(one(PRESENCE), TIMEOUT)


@pytest.mark.clause("XML-08")
def test_what_a_peer_put_into_attributes_stays_there():
    hostile = b"<iq from='a' to='b' type='get' id='&quot;&gt;&lt;x a=&apos;'/>"
    answer = etree.fromstring(bounce(one(hostile), TIMEOUT))
    assert answer.get("id") == "\"><x a='"
    assert len(answer) == 1


@pytest.mark.clause("RTE-07")
def test_a_condition_of_its_own_follows_the_standards():
    error = StanzaError("conflict", "cancel", "too late", ("urn:own", "tie-break"))
    (element,) = etree.fromstring(bounce(one(MESSAGE), error))
    assert [child.tag for child in element] == [
        f"{{{names.STANZA_ERRORS}}}conflict",
        f"{{{names.STANZA_ERRORS}}}text",
        "{urn:own}tie-break",
    ]


@pytest.mark.parametrize("payload", ["", "<q xmlns='urn:q'/>"])
def test_a_result_swaps_the_addresses_and_keeps_the_id(payload):
    asked = one(b"<iq from='a&apos;b@x.example' to='y.example/&lt;' id='1&amp;2' type='set'/>")
    answer = etree.fromstring(result(asked, payload))
    assert (answer.tag, dict(answer.attrib)) == (
        "iq",
        {"from": "y.example/<", "to": "a'b@x.example", "id": "1&2", "type": "result"},
    )
    assert len(answer) == (1 if payload else 0)


def test_cutting_leaves_nothing_to_the_garbage_collector():
    """A parser that only the collector frees costs memory and, in thousands at once, a stall."""
    is_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        next(cut(MESSAGE + IQ))
        assert gc.collect() == 0
    finally:
        if is_on:
            gc.enable()
