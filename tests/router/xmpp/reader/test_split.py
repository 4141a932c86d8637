"""What one stanza, one nonza or one header must be like, and what happens otherwise."""

from typing import Any

import pytest

from router.xmpp import names
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.reader import Counts, Element, Faulty, Header, Limits, Run
from tests.router.xmpp.reader.reading import (
    COMPONENT_HEADER,
    HEADER,
    LIMITS,
    READERS,
    comparable,
    fault,
    read,
    whole,
)

OPEN = b"<message from='a.example' to='b.example'>"
AB = DomainPair("a.example", "b.example")
M = b"<message from='u@a.example/r' to='v@b.example'><body>x</body></message>"
IQ = (
    b"<iq from='a.example' to='v@b.example/r' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq >"
)


@pytest.mark.clause("STR-10")
@pytest.mark.parametrize(
    "header, condition",
    [
        (b"<stream:stream xmlns='jabber:server' xmlns:stream='urn:x'>", "invalid-namespace"),
        (b"<stream xmlns='jabber:server'>", "invalid-namespace"),
        (b"<stream>", "invalid-namespace"),
        (
            b"<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'>",
            "invalid-namespace",
        ),
        (
            b"<s:streams xmlns='jabber:server' xmlns:s='http://etherx.jabber.org/streams'>",
            "bad-format",
        ),
    ],
)
def test_a_wrong_header_is_reported_and_then_refused(header: bytes, condition: str) -> None:
    reported, error = read(header)
    assert isinstance(reported, Header)
    assert error == ("fault", condition, None)


@pytest.mark.clause("STR-10", "CMP-01")
def test_the_content_namespace_is_the_one_of_the_listener() -> None:
    assert fault(HEADER, content=names.COMPONENT) == "invalid-namespace"
    assert fault(COMPONENT_HEADER) == "invalid-namespace"
    assert len(read(COMPONENT_HEADER, content=names.COMPONENT)) == 1


@pytest.mark.clause("STR-11")
@pytest.mark.parametrize(
    "header, stanza",
    [
        (HEADER, b"<s:message xmlns:s='jabber:server' from='a.example' to='b.example'/>"),
        (HEADER, b"<s:message xmlns:s='jabber&#58;server' from='a.example' to='b.example'/>"),
        (HEADER, b"<s:message xmlns:s='jabber:server'/>"),
        (
            HEADER.replace(b" from", b" xmlns:s='jabber:server' from"),
            b"<s:message from='a.example' to='b.example'/>",
        ),
        (
            HEADER.replace(b" from", b" xmlns:message='jabber:server' from"),
            b"<message:message from='a.example' to='b.example'></message:message>",
        ),
    ],
)
@pytest.mark.parametrize("before", [b"", OPEN + b"</message>"])
def test_a_stanza_with_a_prefix_is_refused(header: bytes, before: bytes, stanza: bytes) -> None:
    assert fault(header + before + stanza) == "bad-namespace-prefix"


@pytest.mark.clause("STR-18")
@pytest.mark.parametrize(
    "stanza, condition",
    [
        (b"<foo/>", "unsupported-stanza-type"),
        (b"<handshake/>", "unsupported-stanza-type"),
        (b"<x xmlns='jabber:server}message'/>", "unsupported-stanza-type"),
        (b"<message xmlns='jabber:client' from='a.x' to='b.x'/>", "invalid-namespace"),
        (b"<iq xmlns='jabber:component:accept' from='a.x' to='b.x'/>", "invalid-namespace"),
        (b"<presence xmlns='' from='a.x' to='b.x'/>", "invalid-namespace"),
    ],
)
def test_unknown_first_level_elements_are_refused(stanza: bytes, condition: str) -> None:
    assert fault(HEADER + stanza) == condition


@pytest.mark.clause("RTE-01", "CMP-04", "RTE-06", "RTE-13")
@pytest.mark.parametrize(
    "attributes",
    [
        b"",
        b"from='a.example'",
        b"to='b.example'",
        b"from='' to='b.example'",
        b"from='a.example' to=''",
        b"from='a..example' to='b.example'",
        b"from='a.example' to='b c.example'",
        b"from='u@' to='b.example'",
        b"from='a.example' to='u@/r'",
        b"from='@a.example' to='b.example'",
        b"from='a.example/' to='b.example'",
        b"from='u&quot;v@a.example' to='b.example'",
        b"from='u@v@a.example' to='b.example'",
        b"from='a.example' to='u@v@b.example'",
        b"from='" + b"u" * 1024 + b"@a.example' to='b.example'",
    ],
)
@pytest.mark.parametrize("kind", [b"message", b"presence", b"iq"])
def test_improper_addresses_end_the_stream(kind: bytes, attributes: bytes) -> None:
    stanza = b"<%s id='1' type='get' %s/>" % (kind, attributes)
    assert fault(HEADER + stanza) == "improper-addressing"


@pytest.mark.clause("XML-06")
def test_depth_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        return HEADER + OPEN + b"<a>" * (depth - 1) + b"</a>" * (depth - 1) + b"</message>"

    assert isinstance(read(nested(LIMITS.max_depth))[1], Run)
    assert fault(nested(LIMITS.max_depth + 1)) == "policy-violation"
    assert fault(HEADER + OPEN + b"<a>" * LIMITS.max_depth) == "policy-violation"


@pytest.mark.clause("XML-06")
@pytest.mark.parametrize("where", ["root", "child", "foreign"])
def test_attributes_are_bounded(where: str) -> None:
    def stanza(count: int) -> bytes:
        extra = b"".join(b" a%d=''" % i for i in range(count - (2 if where == "root" else 0)))
        if where == "root":
            return HEADER + OPEN[:-1] + extra + b"/>"
        if where == "child":
            return HEADER + OPEN + b"<a" + extra + b"/></message>"
        return HEADER + b"<a xmlns='u'" + extra + b"/>"

    assert len(read(stanza(LIMITS.max_attributes))) == 2
    assert not isinstance(read(stanza(LIMITS.max_attributes))[1], tuple) or where == "foreign"
    assert fault(stanza(LIMITS.max_attributes + 1)) == "policy-violation"


@pytest.mark.clause("XML-06")
def test_namespace_declarations_are_bounded_per_element() -> None:
    def stanza(count: int) -> bytes:
        extra = b"".join(b" xmlns:p%d='u'" % i for i in range(count))
        return HEADER + OPEN + b"<a" + extra + b"/><b" + extra + b"/></message>"

    assert isinstance(read(stanza(32))[1], Run)
    assert fault(stanza(33)) == "policy-violation"


@pytest.mark.clause("XML-06")
def test_declarations_count_in_their_shortest_form() -> None:
    header = HEADER.replace(b"xmlns:db='jabber:server:dialback'", b"")
    letters = [bytes([c]) for c in b"abcdefghijklmnopqrstuvwxyzABCDEFG"]
    extra = b"".join(b" xmlns:%s='u'" % letter for letter in letters)
    stanza = b"<iq from='a' to='b' id='' type='get'%s/>" % extra
    assert fault(header + stanza) == "policy-violation"


@pytest.mark.clause("XML-06")
def test_elements_are_bounded() -> None:
    limits = Limits(10_000, 8, 8, max_elements=100)
    stanza = HEADER + OPEN + b"<a/>" * 99 + b"<![CDATA[" + b"<" * 500 + b"]]></message>"
    assert isinstance(read(stanza, limits)[1], Run)
    assert fault(HEADER + OPEN + b"<a/>" * 100 + b"</message>", limits) == "policy-violation"


@pytest.mark.clause("XML-06")
def test_namespace_declarations_of_the_header_are_bounded() -> None:
    extra = b"".join(b" xmlns:p%d='u'" % i for i in range(40))
    assert fault(HEADER[:-1] + extra + b">") == "policy-violation"


@pytest.mark.clause("RTE-09")
@pytest.mark.parametrize(
    "attributes", [b"type='get'", b"id='1'", b"id='1' type='subscribe'", b"id='1' type=''", b""]
)
def test_an_iq_without_id_or_type_is_a_bad_request(attributes: bytes) -> None:
    stanza = b"<iq from='a.example' to='b.example' %s/>" % attributes
    # twice: the second time the addresses are known
    assert read(HEADER + stanza + M + stanza)[1:] == [
        Faulty(AB, stanza, StanzaError("bad-request", "modify", "iq needs an id and a type")),
        Run(AB, Counts(1, 0, 0), M),
        Faulty(AB, stanza, StanzaError("bad-request", "modify", "iq needs an id and a type")),
    ]


@pytest.mark.parametrize("kind", [b"get", b"set", b"result", b"error"])
@pytest.mark.clause("RTE-09")
def test_iqs_of_the_four_types_pass(kind: bytes) -> None:
    assert isinstance(read(HEADER + IQ.replace(b"get", kind))[1], Run)


@pytest.mark.clause("STR-18")
@pytest.mark.parametrize(
    "octets",
    [
        b"<stream:features/>",
        b"<stream:error></stream:error >",
        b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        b"<foo xmlns='x' from='a.example' to='b.example'/>",
        b"<message xmlns='x' from='a.example' to='b.example'/>",
        b"<message xmlns='u'><message xmlns='jabber:server' from='a.x' to='b.x'/></message>",
    ],
)
def test_what_is_in_another_namespace_is_no_stanza(octets: bytes) -> None:
    assert read(HEADER + octets)[1][1] == octets


@pytest.mark.clause("CMP-03")
def test_a_component_may_shake_hands() -> None:
    tokens = whole(COMPONENT_HEADER + b"<handshake>x</handshake>", content=names.COMPONENT)
    assert isinstance(tokens[1], Element)
    assert tokens[1].element.tag == f"{{{names.COMPONENT}}}handshake"


DEFAULTS = {"from": "j@c.example/'<&", "to": "m.example"}
CLIENT_HEADER = HEADER.replace(b"jabber:server'", b"jabber:client'", 1)


def with_defaults(octets: bytes, step: int, header: bytes = CLIENT_HEADER) -> list[Any]:
    """What each reader makes of them behind the header, cut so, which is the same."""
    results = []
    for reader_class in READERS:
        reader = reader_class(names.CLIENT, LIMITS, careful=False, defaults=DEFAULTS)
        reader.feed(header)
        parts = [octets[at : at + step] for at in range(0, len(octets), step)]
        results.append(comparable([token for part in parts for token in reader.feed(part)]))
    assert all(result == results[0] for result in results)
    return list(results[0])


@pytest.mark.clause("E2E-04")
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_stanza_without_addresses_is_given_them(step: int) -> None:
    given, to = b' from="j@c.example/\'&lt;&amp;"', b' to="m.example"'
    tokens = with_defaults(
        b"<message/> <message ><body>x</body></message>"
        b"<iq to='v.example' type='get' id='1'><a/></iq>"
        b"<presence from='j@c.example'></presence><message from='x.example' to='v.example'/>",
        step,
    )
    assert [token.octets for token in tokens] == [
        b"<message" + given + to + b"/><message" + given + to + b" ><body>x</body></message>",
        b"<iq" + given + b" to='v.example' type='get' id='1'><a/></iq>",
        b"<presence" + to + b" from='j@c.example'></presence>",
        b"<message from='x.example' to='v.example'/>",
    ]
    assert [tuple(token.pair) for token in tokens] == [
        ("c.example", "m.example"),
        ("c.example", "v.example"),
        ("c.example", "m.example"),
        ("x.example", "v.example"),
    ]
    assert [token.counts.total for token in tokens] == [2, 1, 1, 1]


@pytest.mark.clause("E2E-04", "E2E-06")
@pytest.mark.parametrize("step", [1, 1000])
def test_what_is_given_goes_with_what_is_rewritten_and_what_is_refused(step: int) -> None:
    header = CLIENT_HEADER.replace(b" from=", b" xmlns:p='urn:p' xml:lang='it' from=")
    run, faulty = with_defaults(b"<message><p:a/></message><iq to='v.example'/>", step, header)
    assert b"".join(sorted(run.octets.split(b" "))) == b"".join(
        sorted(
            b'<message xmlns:p="urn:p" from="j@c.example/\'&lt;&amp;" to="m.example"'
            b' xml:lang="it"><p:a/></message>'.split(b" ")
        )
    )
    assert faulty.error.condition == "bad-request"
    assert b" to='v.example'" in faulty.octets
    assert b" from=" in faulty.octets


@pytest.mark.clause("RTE-01")
@pytest.mark.parametrize("stanza", [b"<message from=''/>", b"<message to=''/>"])
def test_an_empty_address_is_not_a_missing_one(stanza: bytes) -> None:
    assert with_defaults(stanza, 1000) == [("fault", "improper-addressing", None)]
