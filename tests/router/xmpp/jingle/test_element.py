"""`<jingle/>` read and written: what is malformed, what is bounded, what is read back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from router.xmpp import names
from router.xmpp.jingle import element
from router.xmpp.jingle.actions import ACTIONS, REASONS, Action
from router.xmpp.jingle.element import Jingle, Malformed, is_jingle, parse, payload
from router.xmpp.stanza import Stanza
from tests.router.xmpp.jingle.joined import (
    DESCRIPTION,
    IBB,
    JULIET,
    ROMEO,
    content,
    jingle_set,
    offer,
)


def read(octets: bytes) -> Jingle | Malformed:
    child = payload(Stanza("iq", {}, octets))
    assert child is not None
    assert is_jingle(child)
    return parse(child)


def well_formed(octets: bytes) -> Jingle:
    found = read(octets)
    assert isinstance(found, Jingle), found
    return found


@pytest.mark.clause("JXS-09")
@pytest.mark.parametrize("action", ["x", "", "Session-Initiate", "session-initiate "])
def test_an_unknown_action_is_malformed(action: str) -> None:
    assert isinstance(read(jingle_set(action, "s")), Malformed)


@pytest.mark.clause("JXS-03")
@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(jingle_set("session-info", ""), id="no sid"),
        pytest.param(jingle_set("session-info", "s" * 257), id="long sid"),
        pytest.param(jingle_set("session-initiate", "s"), id="no content"),
        pytest.param(jingle_set("session-accept", "s"), id="accept without content"),
        pytest.param(jingle_set("transport-info", "s"), id="info without content"),
        pytest.param(jingle_set("session-initiate", "s", offer(name="")), id="no name"),
        pytest.param(jingle_set("session-initiate", "s", offer(name="n" * 257)), id="long name"),
        pytest.param(jingle_set("session-initiate", "s", content(DESCRIPTION)), id="no transport"),
        pytest.param(
            jingle_set("session-initiate", "s", content(IBB.element().decode())),
            id="no description",
        ),
        pytest.param(
            jingle_set("session-info", "s", content("", more="creator='nobody'")), id="creator"
        ),
        pytest.param(jingle_set("session-initiate", "s", offer() * 9), id="nine contents"),
        pytest.param(
            jingle_set("session-initiate", "s", content(DESCRIPTION + IBB.element().decode() * 2)),
            id="two transports",
        ),
        pytest.param(
            jingle_set(
                "session-initiate",
                "s",
                content(
                    DESCRIPTION + IBB.element().decode(),
                    more="creator='initiator' disposition='early-session'",
                ),
            ),
            id="no content for the session",
        ),
    ],
)
def test_what_breaks_the_standard_or_our_bounds_is_malformed(octets: bytes) -> None:
    assert isinstance(read(octets), Malformed)


@pytest.mark.clause("JXS-02")
@pytest.mark.parametrize("namespace", [names.JINGLE, names.JINGLE_0])
def test_both_namespaces_are_read_alike(namespace: str) -> None:
    found = well_formed(jingle_set("session-initiate", "s", offer(), namespace=namespace))
    assert (found.namespace, found.action, found.sid) == (namespace, Action.SESSION_INITIATE, "s")
    (one,) = found.contents
    assert (one.creator, one.name, one.senders) == ("initiator", "xmlstream", "both")
    assert one.description is not None
    assert one.description.tag == f"{{{names.JINGLE_XMLSTREAM}}}description"
    assert one.transport is not None
    assert one.transport.get("sid") == "inband"


def test_contents_of_another_version_are_none_of_it() -> None:
    foreign = f"<content xmlns='{names.JINGLE_0}' creator='initiator' name='n'/>"
    found = well_formed(jingle_set("session-info", "s", foreign))
    assert (found.contents, found.has_payload) == ((), True)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<reason><busy/></reason>", ("busy", "")),
        ("<reason><text>a&lt;b</text><gone/></reason>", ("gone", "a<b")),
        ("<reason><nonsense/></reason>", ("", "")),
        ("<reason><busy xmlns='urn:x'/></reason>", ("", "")),
        ("<reason/>", ("", "")),
        ("", ("", "")),
    ],
)
def test_a_reason_is_one_of_the_standards_or_none(inside: str, expected: tuple[str, str]) -> None:
    found = well_formed(jingle_set("session-terminate", "s", inside))
    assert (found.reason, found.text) == expected


def test_a_long_text_is_cut() -> None:
    words = f"<reason><busy/><text>{'t' * 999}</text></reason>"
    assert well_formed(jingle_set("session-terminate", "s", words)).text == "t" * 256


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_what_we_write_we_read(reason: str) -> None:
    written = element.jingle(
        names.JINGLE_0, Action.SESSION_TERMINATE, "a'\"<&>", element.reason(reason, "t & u")
    )
    found = well_formed(element.iq("set", JULIET, ROMEO, "i'd", written))
    assert found == Jingle(
        names.JINGLE_0, Action.SESSION_TERMINATE, "a'\"<&>", (), reason, "t & u", False
    )


def test_an_iq_of_ours_is_neutral_and_escaped() -> None:
    octets = element.iq("get", "a'b@x.example", "y.example/<", "1&2", b"<q xmlns='urn:q'/>")
    root = etree.fromstring(octets)
    assert (root.tag, dict(root.attrib)) == (
        "iq",
        {"from": "a'b@x.example", "to": "y.example/<", "id": "1&2", "type": "get"},
    )


@pytest.mark.parametrize("inside", ["", "text", "<a/><b/>", "<a xmlns:p='urn:}x'><p:b/></a>"])
def test_an_iq_without_exactly_one_readable_child_has_no_payload(inside: str) -> None:
    assert payload(Stanza("iq", {}, f"<iq>{inside}</iq>".encode())) is None


PARTS = st.sampled_from(
    [DESCRIPTION, IBB.element().decode(), "<security xmlns='urn:s'/>", "<transport/>", "<x/>", "t"]
)
CONTENTS = st.builds(
    lambda parts, name, more: content("".join(parts), name, more),
    st.lists(PARTS, max_size=3),
    st.sampled_from(["xmlstream", "", "n" * 300]),
    st.sampled_from(["creator='initiator'", "creator='x'", "", "disposition='render'"]),
)
CHILDREN = st.one_of(
    CONTENTS,
    st.sampled_from(["<reason><gone/></reason>", "<reason><x/></reason>", "<x xmlns='urn:x'/>"]),
)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([*sorted(ACTIONS), "x"]),
    st.sampled_from(["s", "", "s" * 300]),
    st.lists(CHILDREN, max_size=10),
    st.sampled_from(element.NAMESPACES),
)
def test_any_element_is_read_within_bounds_or_malformed(
    action: str, sid: str, children: list[str], namespace: str
) -> None:
    found = read(jingle_set(action, sid, "".join(children), namespace=namespace))
    if isinstance(found, Jingle):
        assert len(found.contents) <= element.MAX_CONTENTS
        assert 0 < len(found.sid) <= element.MAX_NAME_CHARS
        assert all(0 < len(each.name) <= element.MAX_NAME_CHARS for each in found.contents)
    else:
        assert isinstance(found, Malformed)
        assert found.detail


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=200))
def test_any_octets_have_a_payload_or_none(octets: bytes) -> None:
    found = payload(Stanza("iq", {}, octets))
    assert found is None or isinstance(found.tag, str)
