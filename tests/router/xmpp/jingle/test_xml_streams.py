"""The one content of a session: which is acceptable, which is ours, and how it is written."""

import pytest

from router.xmpp.jingle import xml_streams
from router.xmpp.jingle.element import Content, Jingle, parse, payload
from router.xmpp.jingle.transport import TransportFault
from router.xmpp.stanza import Stanza
from tests.router.xmpp.jingle.joined import (
    DESCRIPTION,
    IBB,
    METHODS,
    S5B,
    Pipe,
    content,
    jingle_set,
    offer,
)

UNKNOWN = Pipe("x", namespace="urn:x")


def jingle(inside: str, action: str = "session-initiate") -> Jingle:
    child = payload(Stanza("iq", {}, jingle_set(action, "s", inside)))
    assert child is not None
    found = parse(child)
    assert isinstance(found, Jingle)
    return found


def flagged(more: str, name: str = "n") -> str:
    return content(DESCRIPTION + IBB.element().decode(), name, f"creator='initiator' {more}")


@pytest.mark.clause("JXS-05")
@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (offer(UNKNOWN, "a") + offer(S5B, "b") + offer(IBB, "c"), "b"),
        (flagged("disposition='early-session'", "a") + offer(IBB, "b"), "b"),
        (flagged("senders='none'", "a") + offer(IBB, "b"), "b"),
    ],
)
def test_the_first_that_fits_is_acceptable(inside: str, expected: str) -> None:
    found = xml_streams.acceptable(jingle(inside), METHODS)
    assert isinstance(found, Content)
    assert found.name == expected


@pytest.mark.clause("JXS-05")
@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        (offer().replace("xmlstream:0", "xmlstream:1"), "unsupported-applications"),
        (offer().replace(DESCRIPTION, "<description xmlns='urn:d'/>"), "unsupported-applications"),
        (offer(UNKNOWN), "unsupported-transports"),
        (flagged("senders='responder'"), "incompatible-parameters"),
    ],
)
def test_what_does_not_fit_has_a_reason(inside: str, reason: str) -> None:
    assert xml_streams.acceptable(jingle(inside), METHODS) == reason


@pytest.mark.clause("JXS-04")
def test_a_transport_is_read_by_its_method() -> None:
    assert xml_streams.transport_in(jingle(offer(S5B)).contents[0], METHODS) == S5B
    assert xml_streams.transport_in(jingle(offer(UNKNOWN)).contents[0], METHODS) is None
    broken = xml_streams.transport_in(jingle(offer(Pipe(""))).contents[0], METHODS)
    assert isinstance(broken, TransportFault)
    assert xml_streams.transport_in(Content("initiator", "n"), METHODS) is None


@pytest.mark.clause("JXS-04")
@pytest.mark.parametrize("describes", [True, False])
def test_what_we_write_we_find(describes: bool) -> None:
    written = xml_streams.write("a'b", IBB.element(), describes=describes).decode()
    found = jingle(written, "session-accept" if describes else "transport-accept")
    ours = xml_streams.find(found, "a'b")
    assert ours is not None
    assert (xml_streams.accepted(found, "a'b") is ours) is describes
    assert xml_streams.find(found, "ab") is None
    assert xml_streams.transport_in(ours, METHODS) == IBB


def test_a_bare_transport_names_its_method_alone() -> None:
    bare = xml_streams.bare_transport(jingle(offer(UNKNOWN)).contents[0])
    assert bare == b'<transport xmlns="urn:x"/>'
    assert xml_streams.bare_transport(Content("initiator", "n")) == b'<transport xmlns=""/>'
