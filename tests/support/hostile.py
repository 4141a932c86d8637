"""What a hostile or broken peer may say, and what must come of it: tables, nothing else.

A row holds for all the phases of its table. `hostile_stages` has the phases in memory;
`tests/processes/test_bad_input.py` sends the same over sockets.
"""

from typing import NamedTuple

from router.xmpp import names
from tests.support.scripted_peer import (
    BIDI,
    END,
    STARTTLS,
    SUCCESS,
    auth,
    header,
    message,
)

MONTAGUE, VERONA = "montague.example", "verona.example"
"""Hosted."""
CAPULET, TYBALT = "capulet.example", "tybalt.example"
"""Remote; the peer is, or proves to be, the first."""
ROMEO, JULIET = f"romeo@{MONTAGUE}", f"juliet@{CAPULET}"
TO_US = f"from='{CAPULET}' to='{MONTAGUE}'"
OURS = f'from="{MONTAGUE}" to="{CAPULET}"'
SPOKEN = f"from='{JULIET}' to='{ROMEO}'"


class Fatal(str):
    """A stream error with this condition, our header before it, then the end of everything."""


class Stays(str):
    """The stream lives; these octets came back ("": none, the input was dropped)."""


class Drops(str):
    """The connection ends at once; what came back before that is this text."""


Outcome = Fatal | Stays | Drops


class Row(NamedTuple):
    """What is sent, what must come of it, and the clause."""

    octets: str | bytes
    outcome: Outcome
    clause: str


Table = dict[str, Row]


def failure(condition: str) -> Stays:
    """SASL's answer."""
    return Stays(f"<failure xmlns='{names.SASL}'><{condition}/></failure>")


def key(sender: str = CAPULET, target: str = MONTAGUE, tag: str = "result", **more: str) -> str:
    """A dialback element with a key."""
    given = {"from": sender, "to": target, **more}
    return f"<db:{tag}" + "".join(f" {k}='{v}'" for k, v in given.items()) + f">abc</db:{tag}>"


def refusal(condition: str, kind: str, target: str = MONTAGUE) -> Stays:
    """The dialback error that answers `key`."""
    return Stays(
        f'<db:result from="{target}" to="{CAPULET}" type="error"><error type=\'{kind}\'>'
        f"<{condition} xmlns='{names.STANZA_ERRORS}'/></error></db:result>"
    )


def inside(octets: str | bytes) -> bytes:
    """The octets inside a stanza."""
    middle = octets if isinstance(octets, bytes) else octets.encode()
    return f"<message {SPOKEN}><body>".encode() + middle + b"</body></message>"


def many(count: int, form: str) -> str:
    """The form, so often, each with its number."""
    return "".join(form.format(number) for number in range(count))


HEADER = header(CAPULET, MONTAGUE)

HEADERS: Table = {
    "not XML": Row("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Fatal("not-well-formed"), "XML-02"),
    "a TLS handshake": Row(b"\x16\x03\x01\x02\x00\x01\x00\xfc", Fatal("not-well-formed"), "XML-02"),
    "UTF-16": Row(HEADER.encode("utf-16"), Fatal("unsupported-encoding"), "XML-03"),
    "UTF-16 without a mark": Row(
        HEADER.encode("utf-16-le"), Fatal("unsupported-encoding"), "XML-03"
    ),
    "a byte order mark": Row(
        b"\xef\xbb\xbf" + HEADER.encode(), Fatal("unsupported-encoding"), "XML-03"
    ),
    "another encoding": Row(
        "<?xml version='1.0' encoding='latin1'?>", Fatal("unsupported-encoding"), "XML-03"
    ),
    "UTF-7": Row("<?xml version='1.0' encoding='utf-7'?>", Fatal("unsupported-encoding"), "XML-03"),
    "XML 1.1": Row("<?xml version='1.1'?>" + HEADER, Fatal("not-well-formed"), "XML-02"),
    "not UTF-8": Row(HEADER.encode()[:-1] + b" a='\xff'>", Fatal("unsupported-encoding"), "XML-03"),
    "another root": Row("<foo/>", Fatal("invalid-namespace"), "STR-10"),
    "a stanza": Row(message(JULIET, ROMEO, 1), Fatal("invalid-namespace"), "ALT-01"),
    "a root of another name": Row(
        f"<stream:foo xmlns:stream='{names.STREAMS}'>", Fatal("bad-format"), "STR-10"
    ),
    "another stream namespace": Row(
        HEADER.replace(names.STREAMS, "urn:x"), Fatal("invalid-namespace"), "STR-10"
    ),
    "a client's namespace": Row(
        header(CAPULET, MONTAGUE, xmlns="jabber:client"), Fatal("invalid-namespace"), "STR-10"
    ),
    "a prefix nobody declared": Row("<stream:stream>", Fatal("not-well-formed"), "XML-02"),
    "an attribute twice": Row(HEADER[:-1] + " to='a' to='b'>", Fatal("not-well-formed"), "XML-02"),
    "a document type": Row(
        "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]>", Fatal("restricted-xml"), "XML-01"
    ),
    "a billion laughs": Row(
        "<!DOCTYPE a [<!ENTITY a0 'lol'>"
        + many(9, "<!ENTITY b{0} '&b{0};&b{0};&b{0};'>")
        + "]>"
        + HEADER,
        Fatal("restricted-xml"),
        "XML-01",
    ),
    "an external entity": Row(
        "<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/x'>" + HEADER, Fatal("restricted-xml"), "XML-01"
    ),
    "default attributes": Row(
        "<!DOCTYPE a [<!ATTLIST message from CDATA 'a'>]>", Fatal("restricted-xml"), "XML-01"
    ),
    "a comment": Row("<!-- -->" + HEADER, Fatal("restricted-xml"), "XML-01"),
    "a processing instruction": Row("<?php echo?>" + HEADER, Fatal("restricted-xml"), "XML-01"),
    "an entity": Row(HEADER[:-1] + " a='&lol;'>", Fatal("restricted-xml"), "XML-01"),
    "a forbidden character": Row(HEADER[:-1] + " a='&#0;'>", Fatal("not-well-formed"), "XML-08"),
    "an endless header": Row(
        HEADER[:-1] + " a='" + "a" * 20_000, Fatal("policy-violation"), "XML-06"
    ),
    "a header too big": Row(
        HEADER[:-1] + " a='" + "a" * 20_000 + "'>", Fatal("policy-violation"), "XML-06"
    ),
    "white space without end": Row(" " * 20_000, Fatal("policy-violation"), "XML-06"),
    "too many attributes": Row(
        HEADER[:-1] + many(100, " a{}=''") + ">", Fatal("policy-violation"), "XML-06"
    ),
    "too many namespaces": Row(
        HEADER[:-1] + many(40, " xmlns:a{}='u'") + ">", Fatal("policy-violation"), "XML-06"
    ),
    "a namespace too long": Row(
        HEADER[:-1] + f" xmlns:a='{'u' * 2000}'>", Fatal("policy-violation"), "XML-06"
    ),
}
"""Where any stream header is due: ours to answer, or the peer's answer."""

ADDRESSED: Table = {
    "a domain not hosted": Row(header(CAPULET, "nope"), Fatal("host-unknown"), "STR-02"),
    "a target without a value": Row(header(CAPULET, ""), Fatal("host-unknown"), "STR-02"),
    "a target that is no domain": Row(header(CAPULET, "-a b-"), Fatal("host-unknown"), "STR-02"),
    "a user as target": Row(header(CAPULET, ROMEO), Fatal("host-unknown"), "STR-02"),
    "a user as sender": Row(header(JULIET, MONTAGUE), Fatal("improper-addressing"), "STR-04"),
    "a sender without a value": Row(header("", MONTAGUE), Fatal("improper-addressing"), "STR-04"),
    "a sender that is no domain": Row(
        header("\N{ZERO WIDTH SPACE}.example", MONTAGUE), Fatal("improper-addressing"), "STR-04"
    ),
    "a sender too long": Row(header("a" * 1100, MONTAGUE), Fatal("improper-addressing"), "STR-04"),
    "a version in words": Row(
        header(CAPULET, MONTAGUE, version="abc"), Fatal("unsupported-version"), "STR-07"
    ),
    "a version without an end": Row(
        header(CAPULET, MONTAGUE, version="1." + "0" * 5000), Fatal("unsupported-version"), "STR-07"
    ),
}
"""A peer's header to us, before and inside TLS, and after SASL."""

HOSTED_SENDER: Table = {
    "our own domain as sender": Row(
        header(VERONA, MONTAGUE), Fatal("improper-addressing"), "STR-04"
    ),
    "the target as sender": Row(header(MONTAGUE, MONTAGUE), Fatal("improper-addressing"), "STR-04"),
}
"""The same, before SASL has proved another."""

XML: Table = {
    "text": Row("hello", Fatal("bad-format"), "XML-04"),
    "text in CDATA": Row("<![CDATA[ ]]>", Fatal("bad-format"), "XML-04"),
    "a comment": Row("<!-- -->", Fatal("restricted-xml"), "XML-01"),
    "a comment without end": Row("<!--" + "-x" * 10_000, Fatal("restricted-xml"), "XML-01"),
    "a processing instruction": Row("<?php echo?>", Fatal("restricted-xml"), "XML-01"),
    "a second declaration": Row("<?xml version='1.0'?>", Fatal("restricted-xml"), "XML-01"),
    "a document type": Row("<!DOCTYPE a []>", Fatal("restricted-xml"), "XML-01"),
    "an entity in an attribute": Row(
        "<a xmlns='urn:x' b='&lol;'/>", Fatal("restricted-xml"), "XML-01"
    ),
    "an external entity": Row("<a xmlns='urn:x'>&xxe;</a>", Fatal("restricted-xml"), "XML-01"),
    "tags that cross": Row("<a xmlns='urn:x'><b></a></b>", Fatal("not-well-formed"), "XML-02"),
    "another closing tag": Row("</foo>", Fatal("not-well-formed"), "XML-02"),
    "a prefix nobody declared": Row("<a:b/>", Fatal("not-well-formed"), "XML-02"),
    "an attribute twice": Row("<a xmlns='urn:x' b='' b=''/>", Fatal("not-well-formed"), "XML-02"),
    "an attribute twice by namespace": Row(
        "<a xmlns='u' xmlns:p='v' xmlns:q='v' p:b='' q:b=''/>", Fatal("not-well-formed"), "XML-02"
    ),
    "an attribute without quotes": Row("<a b=c/>", Fatal("not-well-formed"), "XML-02"),
    "a tag in a tag": Row("<a <b/>>", Fatal("not-well-formed"), "XML-02"),
    "a name of octets": Row(b"<\xe3\x80y/>", Fatal("unsupported-encoding"), "XML-03"),
    "a lone octet": Row(b"\x80", Fatal("unsupported-encoding"), "XML-03"),
    "a zero octet": Row(b"<a xmlns='u'>\0</a>", Fatal("not-well-formed"), "XML-08"),
    "a forbidden character": Row("<a xmlns='u'>&#xFFFF;</a>", Fatal("not-well-formed"), "XML-08"),
    "a second header": Row(HEADER.partition("?>")[2], Fatal("bad-format"), "STR-13"),
    "an element that is no stanza": Row("<foo/>", Fatal("unsupported-stanza-type"), "STR-18"),
    "a namespace with a brace": Row(
        "<x xmlns='jabber:server}message'/>", Fatal("unsupported-stanza-type"), "STR-18"
    ),
    "a client's stanza": Row(
        f"<message xmlns='jabber:client' {SPOKEN}/>", Fatal("invalid-namespace"), "STR-18"
    ),
    "a stanza without namespace": Row(
        f"<iq xmlns='' {SPOKEN}/>", Fatal("invalid-namespace"), "STR-18"
    ),
    "a component's stanza": Row(
        f"<presence xmlns='{names.COMPONENT}' {SPOKEN}/>", Fatal("invalid-namespace"), "STR-18"
    ),
    "too many attributes": Row(
        "<a xmlns='u'" + many(100, " a{}=''") + "/>",
        Fatal("policy-violation"),
        "XML-06",
    ),
    "too many namespaces": Row(
        "<a xmlns='u'" + many(40, " xmlns:a{}='u'") + "/>", Fatal("policy-violation"), "XML-06"
    ),
    "too deep": Row("<a xmlns='u'>" + "<a>" * 1000, Fatal("policy-violation"), "XML-06"),
    "a tag without end": Row(
        "<a xmlns='u' b='" + "a" * 300_000, Fatal("policy-violation"), "XML-05"
    ),
    "an element without end": Row(
        "<a xmlns='u'>" + "<b/>" * 80_000, Fatal("policy-violation"), "XML-05"
    ),
}
"""At any time after a header."""

STANZAS: Table = {
    "a comment": Row(inside("pay<!-- -->roll"), Fatal("restricted-xml"), "XML-01"),
    "a processing instruction": Row(inside("<?a?>"), Fatal("restricted-xml"), "XML-01"),
    "a document type": Row(inside("<!DOCTYPE a>"), Fatal("restricted-xml"), "XML-01"),
    "an entity": Row(inside("&lol;"), Fatal("restricted-xml"), "XML-01"),
    "a prefix nobody declared": Row(inside("<a:b/>"), Fatal("not-well-formed"), "STR-19"),
    "a prefix taken back": Row(inside("<a xmlns:db=''/>"), Fatal("not-well-formed"), "XML-02"),
    "another end": Row(f"<message {SPOKEN}></iq>", Fatal("not-well-formed"), "XML-02"),
    "the end of CDATA": Row(inside("]]>"), Fatal("not-well-formed"), "XML-02"),
    "an ampersand": Row(inside("a & b"), Fatal("not-well-formed"), "XML-02"),
    "a tag in an attribute": Row(inside("<a b='<'/>"), Fatal("not-well-formed"), "XML-02"),
    "not UTF-8": Row(inside(b"\xff"), Fatal("unsupported-encoding"), "XML-03"),
    "an overlong character": Row(inside(b"\xc0\xaf"), Fatal("unsupported-encoding"), "XML-03"),
    "half of a pair": Row(inside(b"\xed\xa0\x80"), Fatal("unsupported-encoding"), "XML-03"),
    "beyond Unicode": Row(inside(b"\xf4\x90\x80\x80"), Fatal("unsupported-encoding"), "XML-03"),
    "a character cut off": Row(inside(b"\xe3\x80"), Fatal("unsupported-encoding"), "XML-03"),
    "a name with half a character": Row(
        inside(b"<b\xe3\x80y/>"), Fatal("unsupported-encoding"), "XML-03"
    ),
    "a control character": Row(inside("\x1b"), Fatal("not-well-formed"), "XML-08"),
    "a reference to one": Row(inside("&#27;"), Fatal("not-well-formed"), "XML-08"),
    "no character": Row(inside("\ufffe"), Fatal("not-well-formed"), "XML-08"),
    "a reference to half a pair": Row(inside("&#xD800;"), Fatal("not-well-formed"), "XML-08"),
    "too big, without an end": Row(
        inside("a" * 300_000)[:-17], Fatal("policy-violation"), "XML-05"
    ),
    "too deep": Row(inside("<a>" * 1000), Fatal("policy-violation"), "XML-06"),
    "too many attributes": Row(
        inside("<a" + many(100, " a{}=''") + "/>"), Fatal("policy-violation"), "XML-06"
    ),
    "too many namespaces": Row(
        inside("<a" + many(40, " xmlns:a{}='u'") + "/>"), Fatal("policy-violation"), "XML-06"
    ),
}
"""Inside a stanza, whether stanzas are heard or not: nothing of it is delivered."""

UNPROVED: Table = {
    "a message": Row(message(JULIET, ROMEO, 1), Fatal("not-authorized"), "STR-17"),
    "presence": Row(f"<presence {SPOKEN}/>", Fatal("not-authorized"), "STR-17"),
    "an iq without id": Row(f"<iq {SPOKEN} type='get'/>", Fatal("not-authorized"), "STR-17"),
    "without addresses": Row("<message/>", Fatal("not-authorized"), "STR-17"),
    "with bad addresses": Row("<iq from='@' to='/'/>", Fatal("not-authorized"), "STR-17"),
    "from our own domain": Row(message(ROMEO, ROMEO, 1), Fatal("not-authorized"), "STR-17"),
    "with a prefix": Row(
        f"<s:message xmlns:s='jabber:server' {SPOKEN}/>", Fatal("not-authorized"), "STR-17"
    ),
}
"""Stanzas from a peer that may not send any."""

IGNORED: Table = {
    "another namespace": Row("<foo xmlns='urn:x' to='a'/>", Stays(), "STR-18"),
    "a dialback element of another name": Row(f"<db:foo {TO_US}/>", Stays(), "STR-18"),
    "a verdict nobody asked for": Row(key(tag="verify", id="i", type="valid"), Stays(), "DBK-28"),
    "a verdict of another type": Row(key(tag="verify", id="i", type="x"), Stays(), "DBK-28"),
    "an answer nobody asked for": Row(key(type="valid"), Stays(), "BIDI-19"),
    "an answer for our own domain": Row(key(MONTAGUE, CAPULET, type="valid"), Stays(), "DBK-28"),
    "an answer of another type": Row(key(type="maybe"), Stays(), "DBK-28"),
    "ten of them": Row(key(type="valid") * 10, Stays(), "DBK-28"),
    "eleven of them": Row(key(type="valid") * 11, Fatal("policy-violation"), "DBK-28"),
}
"""Answers without a question, on any s2s stream after TLS."""

PLAIN: Table = {
    "a dialback key": Row(key(), refusal("policy-violation", "modify"), "TLS-07"),
    "EXTERNAL": Row(auth(CAPULET), failure("encryption-required"), "TLS-07"),
    "bidi": Row(BIDI, Stays(), "TLS-07"),
    "a malformed starttls": Row(
        f"<starttls xmlns='{names.TLS}'>x</starttls>",
        Drops(f"<failure xmlns='{names.TLS}'/>{END}"),
        "TLS-04",
    ),
    "octets behind starttls": Row(STARTTLS + key(), Drops(), "TLS-02"),
    "white space behind starttls": Row(STARTTLS + "\n", Drops(), "TLS-02"),
    "a stanza behind starttls": Row(STARTTLS + message(JULIET, ROMEO, 1), Drops(), "TLS-02"),
}

KEYS: Table = {
    "for a domain not hosted": Row(
        key(target="nope"), refusal("item-not-found", "cancel", "nope"), "DBK-06"
    ),
    "from our own domain": Row(key(VERONA), Stays("<policy-violation "), "DBK-07"),
    "from a user": Row(key(JULIET), Fatal("improper-addressing"), "DBK-02"),
    "from nowhere": Row(key(""), Fatal("improper-addressing"), "DBK-02"),
    "from no domain": Row(key("a b"), Fatal("improper-addressing"), "DBK-02"),
    "without target": Row(
        f"<db:result from='{CAPULET}'>abc</db:result>", Fatal("improper-addressing"), "DBK-02"
    ),
    "a question without id": Row(key(tag="verify"), Stays("<bad-request "), "DBK-13"),
    "a question about a domain not hosted": Row(
        key(target="nope", tag="verify", id="i"), Stays("<item-not-found "), "DBK-13"
    ),
    "a question without sender": Row(
        f"<db:verify to='{MONTAGUE}' id='i'>a</db:verify>", Fatal("improper-addressing"), "DBK-02"
    ),
    "a wrong key": Row(
        key(tag="verify", id="i"), Stays(f'<db:verify {OURS} id="i" type="invalid"/>'), "DBK-12"
    ),
    "a key that is not ASCII": Row(
        f"<db:verify {TO_US} id='i'>\N{SNOWMAN}</db:verify>", Stays('type="invalid"/>'), "DBK-12"
    ),
}
"""Dialback from a peer that connected, inside TLS, proved or not."""

SASL: Table = {
    "another mechanism": Row(auth(CAPULET, "PLAIN"), failure("invalid-mechanism"), "SAS-06"),
    "no mechanism": Row(f"<auth xmlns='{names.SASL}'/>", failure("invalid-mechanism"), "SAS-06"),
    "another identity": Row(auth(TYBALT), failure("invalid-authzid"), "SAS-03"),
    "a user": Row(auth(JULIET), failure("invalid-authzid"), "SAS-03"),
    "our own domain": Row(auth(MONTAGUE), failure("invalid-authzid"), "SAS-03"),
    "padding within": Row(
        f"<auth xmlns='{names.SASL}' mechanism='EXTERNAL'>BBBB=CCC</auth>",
        failure("incorrect-encoding"),
        "SAS-05",
    ),
    "characters of another alphabet": Row(
        f"<auth xmlns='{names.SASL}' mechanism='EXTERNAL'>Y2_w</auth>",
        failure("incorrect-encoding"),
        "SAS-05",
    ),
    "a response without auth": Row(
        f"<response xmlns='{names.SASL}'>=</response>", failure("not-authorized"), "SAS-06"
    ),
    "an abort without auth": Row(
        f"<abort xmlns='{names.SASL}'/>", failure("not-authorized"), "SAS-10"
    ),
    "six attempts": Row(auth(TYBALT) * 6, Fatal("policy-violation"), "SAS-10"),
    "success from the wrong side": Row(SUCCESS, Stays(), "SAS-06"),
    "starttls again": Row(STARTTLS, Drops(f"<failure xmlns='{names.TLS}'/>{END}"), "TLS-04"),
    "a stanza after an unasked answer": Row(
        key(type="valid") + message(JULIET, ROMEO, 1), Fatal("not-authorized"), "DBK-28"
    ),
    "a stanza after a key": Row(
        key(target="nope") + message(JULIET, ROMEO, 1), Fatal("not-authorized"), "BIDI-10"
    ),
}
"""Inside TLS, at our features."""
