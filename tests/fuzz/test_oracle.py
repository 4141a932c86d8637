"""The oracles themselves: each rule of RFC 6120 §11 and §8.1 that they stand for, one by one."""

import pytest

from tests.fuzz import oracle, oracle_address
from tests.fuzz.mutate import HEADERS
from tests.fuzz.oracle import ByExpat, ByLibxml2
from tests.fuzz.oracle_rules import SERVER, STREAMS, Bounds

HEADER = HEADERS[0][1].encode()
END = b"</stream:stream>"
FIRST = b"<message from='a.example' to='b.example'/>"
BOTH = pytest.mark.parametrize("by", [ByExpat, ByLibxml2])
TIGHT = Bounds(stanza_bytes=200, depth=3, attributes=3, namespaces=3, elements=4)


def message(inner: bytes, attributes: bytes = b"") -> bytes:
    return b"<message from='a.example' to='b.example'%s>%s</message>" % (attributes, inner)


REFUSED = {
    "comment": message(b"<!-- -->"),
    "processing instruction": message(b"<?x?>"),
    "document type": b"<!DOCTYPE x>" + FIRST,
    "entity": message(b"&foo;"),
    "attribute entity": message(b"<x a='&foo;'/>"),
    "text between stanzas": b"x" + FIRST,
    "white space as a reference between stanzas": b"&#32;" + FIRST,
    "CDATA between stanzas": b"<![CDATA[ ]]>" + FIRST,
    "not UTF-8": message(b"\xff"),
    "overlong": message(b"\xc0\xbc"),
    "surrogate": message(b"\xed\xa0\x80"),
    "no character": message(b"&#xFFFE;"),
    "unbound prefix": message(b"<p:x/>"),
    "unbound attribute prefix": message(b"<x p:a='1'/>"),
    "one attribute twice": message(b"<x xmlns:p='u' xmlns:q='u' p:a='1' q:a='1'/>"),
    "prefix undeclared": message(b"<x xmlns:p=''/>"),
    "xml prefix bound anew": message(b"<x xmlns:xml='u'/>"),
    "two colons": message(b"<x xmlns:a='u' a:b:c='1'/>"),
    "name of the 5th edition": message("<x\U00010000/>".encode()),
    "mismatched": message(b"<x></y>"),
    "prefixed stanza": b"<s:message xmlns:s='jabber:server' from='a' to='b'/>",
    "client's stanza": b"<message xmlns='jabber:client' from='a' to='b'/>",
    "unknown element": b"<foo/>",
    "second header": HEADER.partition(b"?>")[2] + END,
    "no sender": b"<message to='b.example'/>",
    "no domain": b"<message from='a.example' to='@'/>",
    "too big": message(b"x" * 200),
    "too deep": message(b"<x><x><x/></x></x>"),
    "too many attributes": message(b"<x a='' b='' c='' d=''/>"),
    "too many namespaces": message(b"<x xmlns='u' xmlns:a='u' xmlns:b='u' xmlns:c='u'/>"),
    "too many elements": message(b"<x/>" * 4),
}
ACCEPTED = {
    "references": message(b"&lt;&#65;&#x1F600;"),
    "CDATA": message(b"<![CDATA[<x>&]]>"),
    "a namespace name that is no URI": message(b"<x xmlns='a b' xmlns:p='%'/>"),
    "xml:id that is no name": message(b"<x xml:id='1'/>"),
    "xml prefix declared as it is": message(
        b"<x xmlns:xml='http://www.w3.org/XML/1998/namespace'/>"
    ),
    "bracket in a namespace name": b"<message xmlns='jabber:server}message'/>",
    "nonza": b"<x xmlns='u'/>",
    "white space": b" \r\n\t",
}


@BOTH
@pytest.mark.parametrize("octets", REFUSED.values(), ids=REFUSED)
def test_refused_and_nothing_after_it(by: type[ByExpat], octets: bytes) -> None:
    reading = oracle.read(HEADER + FIRST + octets + FIRST + END, SERVER, TIGHT, by)
    assert not reading.is_accepted
    assert [item.name for item in reading.items] == ["{jabber:server}message"]


@BOTH
@pytest.mark.parametrize("octets", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(by: type[ByExpat], octets: bytes) -> None:
    reading = oracle.read(HEADER + octets + FIRST + END, SERVER, TIGHT, by)
    assert reading.reason == ""
    assert reading.items[-1].kind == "routed"


@BOTH
@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (b"<?xml version='1.1'?>", False),
        (b"<?xml version='1.0' encoding='UTF-16'?>", False),
        (b"<?xml version='1.0' encoding=\"utf-8\" standalone='no' ?>\n", True),
        (b"\xef\xbb\xbf", False),
        (b"<!-- -->", False),
        (b" \n", True),
    ],
)
def test_the_prolog(by: type[ByExpat], header: bytes, accepted: bool) -> None:
    octets = header + HEADER.partition(b"?>")[2] + END
    assert oracle.read(octets, SERVER, Bounds(), by).is_accepted is accepted


@BOTH
def test_the_canonical_form(by: type[ByExpat]) -> None:
    header = f"<x:stream xmlns:x='{STREAMS}' xmlns='jabber:server' xml:lang='de'>"
    octets = (
        header + "<message to='b' from=\"a\">&lt;<p:x xmlns:p='u' p:k='\n'/></message></x:stream>"
    )
    (item,) = oracle.read(octets.encode(), SERVER, Bounds(), by).items
    assert item.canonical == (
        '<{*}message from="a" to="b" {http://www.w3.org/XML/1998/namespace}lang="de">'
        '&lt;<{u}x {u}k=" "></></>'
    )


@pytest.mark.parametrize(
    ("address", "judged"),
    [
        ("a.example", oracle_address.GOOD),
        ("r@A.example./x@y/z", oracle_address.GOOD),
        ("[::1]", oracle_address.GOOD),
        ("", oracle_address.NOBODY),
        ("a@b@c", oracle_address.NOBODY),
        ("[::g]", oracle_address.NOBODY),
        ("-a.example", oracle_address.NOBODY),
        ('"@a.example', oracle_address.BAD_PART),
        ("@a.example", oracle_address.BAD_PART),
        ("a.example/", oracle_address.BAD_PART),
        ("x" * 1024 + "@a.example", oracle_address.BAD_PART),
    ],
)
def test_addresses(address: str, judged: str) -> None:
    assert oracle_address.judge(address) == judged
