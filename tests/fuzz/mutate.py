"""Streams that are almost right: stanzas from a grammar, and seeded accidents that know it.

The same seed gives the same case. A case has one mutated stanza between clean ones: a clean one
that comes out behind a broken one, or not behind a good one, is what is looked for.
"""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.fuzz.differential import Case
from tests.fuzz.oracle_rules import COMPONENT, SERVER, STREAMS, Bounds

CORPUS: Final = tuple(
    path.read_bytes().strip() for path in sorted((Path(__file__).parent / "corpus").glob("*.xml"))
)
"""Stanzas as clients and servers send them; the prefixes `db`, `p` and `s` may be the header's."""

_S = f"xmlns:stream='{STREAMS}'"
HEADERS: Final = (
    (
        SERVER,
        f"<?xml version='1.0'?><stream:stream xmlns='{SERVER}' {_S}"
        " xmlns:db='jabber:server:dialback' from='a.example' to='b.example' version='1.0'>",
    ),
    (SERVER, f"<stream:stream xmlns='{SERVER}' {_S} xml:lang='en' xmlns:p='urn:p'>"),
    (
        SERVER,
        f"<stream:stream xmlns='{SERVER}' {_S} xml:lang='de' xmlns:p='urn:p' xmlns:q='urn:p'>",
    ),
    (SERVER, f"<stream xmlns='{STREAMS}' xmlns:s='{SERVER}' xmlns:p='urn:p'>"),
    (SERVER, f"<x:stream xmlns:x='{STREAMS}' xmlns:db='urn:p' xml:space='preserve'>"),
    (COMPONENT, f"<stream:stream xmlns='{COMPONENT}' {_S} to='a.example'>"),
    (
        COMPONENT,
        f"<stream:stream xmlns='{COMPONENT}' {_S} to='a.example' xml:lang='fr' xmlns:s='{SERVER}'>",
    ),
)
BOUNDS: Final = (Bounds(), Bounds(1200, 6, 6, 4, 20, 600))

ADDRESSES: Final = (
    "a.example", "romeo@a.example", "romeo@a.example/orchard", "b.example", "juliet@b.example",
    "juliet@b.example/balcony", "A.Example", "a.example.", "xn--mnchen-3ya.example",
    "münchen.example", "j@b.example/a@b/c", "j@b.example/ ", "[::1]", "127.0.0.1", "_x.example",
    "-a.example", "a..example", "", "@a", "a@", "a/", "a\"b@b.example", "a b@b.example",
    "a@b.example/\x7f", "J&amp;J@b.example", "a&#64;b.example", "a@b@c", "a" * 64 + ".example",
    "x" * 1024 + "@b.example", "ⅷ.example", "ex\u00adample", "日本語.example", "a\u3002example",
    "xn--.example", "*.example", "a\u0301@b.example", "j@b.example/\u202e", "ß.example",
)  # fmt: skip
SPACES: Final = (
    "jabber:server", "jabber:client", "jabber:component:accept", "jabber:server:dialback", "urn:p",
    "u", "", STREAMS, "http://www.w3.org/XML/1998/namespace", "http://www.w3.org/2000/xmlns/",
    "jabber&#58;server", "jabber:server ", "jabber&#x3a;component:accept", "a b", "u}v", "\u00e4",
    "jabber:server}message", "&#10;", "%", "urn:a&amp;b", "jabber:&#115;erver&#x20;", "http://[",
)  # fmt: skip
ATTRIBUTES: Final = (
    "a='1'", 'a="1"', "a='1' a='2'", "a = '1'", "a\n=\t'1'", "a='>'", 'a="/>"', "a='<'",
    "a='&lt;'", "a='&'", "a='&#10;'", "a='\n\t\r'", "a='&#9;&#13;&#32;'", "a", "a=1", "a=''",
    "a=\"'\"", "xml:lang='de'", "xml:lang=''", "xml:lang='en'", "xml:space='preserve'",
    "xml:base='u'", "xml:id='1'", "xml:x='1'", "xmlx='1'", "p:a='1'", "q:a='1' p:a='2'",
    "db:a='1'", "s:a='1'", "stream:a='1'", "zz:a='1'", "p:a='1' a='1'", ":a='1'", "a:='1'",
    "a:b:c='1'", "id='i'", "type='error'", "type='get'", "from='a.example'", "to='b.example'",
    "\u00e4='1'", "a.-_9='1'", "9='1'", "a='\u0085\u2028\u00a0'", "a='&apos;&quot;&gt;'",
    "a='1'b='2'", "a='&#xD;&#xA;'", "xmlns:p='urn:p' xmlns:q='urn:p' p:a='1' q:a='2'",
    "XML:lang='de'", "a='" + "x" * 700 + "'", "a='1' b='1' c='1' d='1' e='1' f='1' g='1'",
    "xmlns:a='u' xmlns:b='u' xmlns:c='u' xmlns:d='u'",
)  # fmt: skip
PIECES: Final = (
    b"<x/>", b"<x></x>", b"<x xmlns='u'/>", b"<x xmlns=''/>", b"<p:x/>", b"<p:x></p:x>",
    b"<db:x/>", b"<p:x xmlns:p='v'/>", b"<s:x/>", b"<s:message from='a' to='b'/>", b"<stream:x/>",
    b"<message/>", b"<x xmlns='jabber:server'/>", b"<x xmlns='jabber:component:accept'><y/></x>",
    b"<x><y/></x>", b"<x xmlns='u'><y xmlns='jabber:server'/></x>",
    b"<q:x xmlns:q='jabber:server' q:a='1'/>", b"<![CDATA[x]]>", b"<![CDATA[<x>]]>",
    b"<![CDATA[]]]]>", b"<![CDATA[&]]>", b"<![CDATA[</message>]]>", b"<![CDATA[", b"]]>",
    b"]]&gt;", b"]]", b"]>", b"<!-- -->", b"<!---->", b"<!-- -- -->", b"<!--", b"<?x?>",
    b"<?xml version='1.0'?>", b"<?x y='?>'?>", b"<?", b"<!DOCTYPE x>", b"<!", b"<![", b"<!ENTITY>",
    b"<!DOCTYPE x [<!ENTITY foo 'bar'>]>", b"&foo;", b"&lt;", b"&amp;", b"&gt;", b"&apos;",
    b"&quot;", b"&lt", b"&;", b"&#;", b"&#x;", b"&#0;", b"&#1;", b"&#9;", b"&#10;", b"&#13;",
    b"&#x20;", b"&#x1F600;", b"&#xD800;", b"&#xFFFE;", b"&#x110000;", b"&#X41;", b"&#99999999999;",
    b"&amp;#60;", b"&#60;", b"& ", b"<", b">", b"</", b"/>", b"</x>", b"</message>", b"</message",
    b"</message >", b"</message\n>", b"</message/>", b"</ message>", b"< x/>", b"<x", b"<x ",
    b"<x/ >", b"<x / >", b"<x//>", b"<>", b"</>", b"<x:/>", b"<:x/>", b"<x:y:z/>", b"<9/>",
    b"<xml:x/>", b"<xmlns:x/>", b"<-x/>", b"<x\xc3\xa4/>", b"<\xe6\x97\xa5/>",
    b"<\xf0\x90\x80\x80/>", b"<\xcd\xb0/>", b"<x\xc2\xb7/>", b"<\xc3\x97/>", b"\r", b"\n", b"\r\n",
    b"\t", b" ", b"\xc2\x85", b"\xe2\x80\xa8", b"\0", b"\x01", b"\x0b", b"\x7f", b"\xc2\x80",
    b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"\xef\xbb\xbf", b"\xef\xb7\x90", b"\xf0\x9f\x98\x80",
    b"\xc0\xbc", b"\xe0\x80\xbc", b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xff", b"\xfe", b"\x80", b"\xe3\x80",
    b"\xf0\x9f", b"\xc3", b"\xe4", b"'", b'"', b"=", b"x", b"\xc3\xa4", b"e\xcc\x81",
    b"</stream:stream>", b"</stream", b"<stream:stream>", b"<x>" * 5 + b"</x>" * 5,
    b"<x>" * 70 + b"</x>" * 70, b"<x/>" * 25, b"x" * 1300, b"<y a='" + b"<" * 3,
    b"<message from='evil' to='b.example'/>", b"</message><message from='evil' to='b.example'>",
    b"</iq>", b"</presence>", b"<handshake/>", b"<db:result from='a' to='b'>k</db:result>",
)  # fmt: skip
_TAG: Final = re.compile(rb"<[^<>]*>")
_TOKEN: Final = re.compile(rb"<[^<>]*>|[^<>]+|[<>]")
_TEXT_CHARACTER: Final = re.compile(rb"(?<=>)[^<>&]+(?=<)")
_QUOTED: Final = re.compile(rb"'[^'\"<>]*'|\"[^'\"<>]*\"")
_ADDRESS: Final = re.compile(rb"\b(?:from|to)=['\"][^'\"<>]*['\"]")

Mutation = Callable[[random.Random, bytes], bytes]


def case(rng: random.Random) -> Case:
    """A stream with one mutated stanza, and clean ones around it."""
    content, header = rng.choice(HEADERS)
    octets = header.encode()
    tail = closing(octets)
    if rng.random() < 0.04:
        octets = mutated(rng, octets)
    stanza = mutated(rng, rng.choice(CORPUS) if rng.random() < 0.7 else grown(rng))
    space = rng.choice((b"", b"", b"\n", b" \t\r\n"))
    clean = _in_stream(
        b"<message from='c@a.example' to='b.example'><body>%d</body></message>", octets
    )
    if rng.random() < 0.3:
        octets += clean % 1
    octets += space + _in_stream(stanza, octets) + space + clean % 2 + tail
    return Case(octets, content, BOUNDS[rng.random() < 0.3])


def closing(header: bytes) -> bytes:
    """The end tag of the stream that this header opens."""
    name = re.findall(rb"<([^\s?>]+)", header)[-1]
    return b"</%s>" % name


def _in_stream(stanza: bytes, header: bytes) -> bytes:
    """The stanza as a peer with this header writes it, with the content namespace if need be."""
    if b" xmlns='jabber:" in header:
        return stanza
    return re.sub(rb"^<(message|presence|iq)\b", rb"<\1 xmlns='jabber:server'", stanza)


def grown(rng: random.Random) -> bytes:
    """A stanza that is valid but for its addresses at times, written in all ways XML has for it."""
    kind = rng.choice(("message", "message", "presence", "iq"))
    attributes = [
        f"from={_quoted(rng, _address(rng))}",
        f"to={_quoted(rng, _address(rng))}",
    ]
    if kind == "iq":
        attributes += [f"id={_quoted(rng, 'i1')}", f"type={_quoted(rng, 'get')}"]
    attributes += rng.sample(("a='1'", "xml:lang='de'", "type='chat'", 'b="\'"'), rng.randint(0, 2))
    if len({each.split("=")[0] for each in attributes}) < len(attributes):
        attributes.pop()
    rng.shuffle(attributes)
    space = rng.choice((" ", " ", "\n", "  \t"))
    head = f"<{kind}{space}{space.join(attributes)}".encode()
    if rng.random() < 0.1:
        return head + b"/>"
    return b"%s>%s</%s>" % (head, _children(rng, 3), kind.encode())


def _children(rng: random.Random, depth: int) -> bytes:
    made = b""
    for _ in range(rng.randint(0, 3)):
        name = rng.choice(("x", "body", "y", "p:x", "message", "z", "\u00e4"))
        declared = f" xmlns={_quoted(rng, rng.choice(SPACES[:8]))}" if rng.random() < 0.3 else ""
        if "p:" in name and rng.random() < 0.8:
            declared += " xmlns:p='urn:p'"
        inner = rng.choice((b"text", b"", b"&amp;", b"<![CDATA[<&]]>", b"\xc3\xa4\r\n")) + (
            _children(rng, depth - 1) if depth and rng.random() < 0.5 else b""
        )
        made += f"<{name}{declared}>".encode() + inner + f"</{name}>".encode()
    return made


def _address(rng: random.Random) -> str:
    return rng.choice(ADDRESSES if rng.random() < 0.2 else ADDRESSES[:6])


def _quoted(rng: random.Random, text: str) -> str:
    return f"'{text}'" if rng.random() < 0.5 or '"' in text else f'"{text}"'


def mutated(rng: random.Random, octets: bytes) -> bytes:
    """The octets after one to three accidents; half of them leave them well-formed or may."""
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        octets = rng.choice(GENTLE if rng.random() < 0.7 else ROUGH)(rng, octets)
    return octets


def _spliced(rng: random.Random, octets: bytes, found: list[re.Match[bytes]], put: bytes) -> bytes:
    """`put` instead of one of the places found."""
    if not found:
        return octets
    one = rng.choice(found)
    return octets[: one.start()] + put + octets[one.end() :]


def _bytes(rng: random.Random, octets: bytes) -> bytes:
    at = rng.randrange(len(octets) + 1)
    match rng.randrange(4):
        case 0:
            return octets[:at] + bytes([rng.randrange(256)]) + octets[at + 1 :]
        case 1:
            return octets[:at] + octets[at + rng.choice((1, 1, 4)) :]
        case 2:
            return octets[:at] + octets[at : at + rng.choice((1, 9))] * 2 + octets[at:]
        case _:
            return octets[:at] + bytes([rng.choice(b"<>&'\"/=!?[];:# \n\r\t")]) + octets[at:]


def _piece_anywhere(rng: random.Random, octets: bytes) -> bytes:
    at = rng.randrange(len(octets) + 1)
    return octets[:at] + rng.choice(PIECES) + octets[at:]


def _piece_between(rng: random.Random, octets: bytes) -> bytes:
    ends = [m.end() for m in _TAG.finditer(octets)][:-1] or [0]
    at = rng.choice(ends)
    return octets[:at] + rng.choice(PIECES) + octets[at:]


def _tokens(rng: random.Random, octets: bytes) -> bytes:
    tokens = _TOKEN.findall(octets)
    if not tokens:
        return octets
    one, other = rng.randrange(len(tokens)), rng.randrange(len(tokens))
    match rng.randrange(3):
        case 0:
            tokens[one], tokens[other] = tokens[other], tokens[one]
        case 1:
            del tokens[one]
        case _:
            tokens.insert(other, tokens[one])
    return b"".join(tokens)


def _attribute(rng: random.Random, octets: bytes) -> bytes:
    tags = [m for m in _TAG.finditer(octets) if m[0][1:2] not in b"/!?"]
    if not tags:
        return octets
    one = rng.choice(tags)
    at = one.end() - (2 if one[0].endswith(b"/>") else 1)
    return octets[:at] + b" " + rng.choice(ATTRIBUTES).encode() + octets[at:]


def _namespace(rng: random.Random, octets: bytes) -> bytes:
    tags = [m for m in _TAG.finditer(octets) if m[0][1:2] not in b"/!?"]
    if not tags:
        return octets
    one = rng.choice(tags)
    at = one.end() - (2 if one[0].endswith(b"/>") else 1)
    prefix = rng.choice(
        ("", "", ":p", ":q", ":db", ":s", ":xml", ":xmlns", ":xmlx", ":", ":stream")
    )
    declared = f" xmlns{prefix}={_quoted(rng, rng.choice(SPACES))}"
    return octets[:at] + declared.encode() + octets[at:]


def _rename(rng: random.Random, octets: bytes) -> bytes:
    names = re.findall(rb"</?([^\s/>]+)", octets)
    if not names:
        return octets
    old = rng.choice(names)
    prefix = rng.choice((b"p:", b"q:", b"db:", b"s:", b"xml:", b":"))
    new = rng.choice((prefix + old, old.rpartition(b":")[2], old.upper(), old + b"x"))
    count = rng.choice((0, 0, 0, 1))
    used = re.compile(rb"(</?)%s(?=[\s/>])" % re.escape(old))
    return used.sub(lambda match: match[1] + new, octets, count=count)


def _reference(rng: random.Random, octets: bytes) -> bytes:
    places = [*_TEXT_CHARACTER.finditer(octets), *_QUOTED.finditer(octets)]
    if not places:
        return octets
    one = rng.choice(places)
    at = rng.randrange(one.start(), one.end()) if one.end() > one.start() else one.start()
    if octets[at] > 127:
        return octets
    form = rng.choice((b"&#%d;", b"&#x%x;", b"&#x%X;", b"&#0%d;", b"&#%d"))
    return octets[:at] + form % octets[at] + octets[at + 1 :]


def _cdata(rng: random.Random, octets: bytes) -> bytes:
    found = list(_TEXT_CHARACTER.finditer(octets))
    if not found:
        return octets
    one = rng.choice(found)
    return octets[: one.start()] + b"<![CDATA[%s]]>" % one[0] + octets[one.end() :]


def _white_space(rng: random.Random, octets: bytes) -> bytes:
    found = list(re.finditer(rb"(?=[=>\s])|(?<==)|(?<=\s)", octets))
    return _spliced(rng, octets, found, rng.choice((b" ", b"\n", b"\t", b"\r\n", b"\r", b"\x0c")))


def _quotes(rng: random.Random, octets: bytes) -> bytes:
    found = list(_QUOTED.finditer(octets))
    if not found:
        return octets
    one = rng.choice(found)
    other = b"'" if one[0].startswith(b'"') else b'"'
    return octets[: one.start()] + other + one[0][1:-1] + other + octets[one.end() :]


def _readdress(rng: random.Random, octets: bytes) -> bytes:
    key = rng.choice(("from", "to"))
    put = f"{key}={_quoted(rng, rng.choice(ADDRESSES))}"
    return _spliced(rng, octets, list(_ADDRESS.finditer(octets)), put.encode())


def _crossed(rng: random.Random, octets: bytes) -> bytes:
    tokens, other = _TOKEN.findall(octets), _TOKEN.findall(rng.choice(CORPUS))
    at, begin = rng.randrange(len(tokens) + 1), rng.randrange(len(other))
    return b"".join([*tokens[:at], *other[begin : begin + rng.randint(1, 4)], *tokens[at:]])


GENTLE: Final[tuple[Mutation, ...]] = (
    _attribute, _namespace, _reference, _cdata, _white_space, _quotes, _readdress, _piece_between,
)  # fmt: skip
ROUGH: Final[tuple[Mutation, ...]] = (
    _bytes, _piece_anywhere, _tokens, _rename, _crossed, _piece_between, _namespace,
)  # fmt: skip
