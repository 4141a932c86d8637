"""What a well-behaved stream becomes: headers, runs, faulty stanzas, nonzas, the end."""

import tracemalloc

import pytest

from router.xmpp import names
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.reader import Counts, Element, End, Faulty, Header, Limits, Reader, Run
from tests.router.xmpp.reader.reading import COMPONENT_HEADER, HEADER, LIMITS, read, whole

AB = DomainPair("a.example", "b.example")
M = b"<message from='u@a.example/r' to='v@b.example'><body>x</body></message>"
P = b"<presence from='u@a.example/r' to='b.example'/>"
IQ = (
    b"<iq from='a.example' to='v@b.example/r' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq >"
)


def test_the_header_comes_with_attributes_and_namespaces() -> None:
    header = HEADER.replace(b" from", b" xml:lang='de' db:x='y' from")
    assert read(header) == [
        Header(
            f"{{{names.STREAMS}}}stream",
            {
                "from": "a.example",
                "to": "b.example",
                "version": "1.0",
                f"{{{names.XML}}}lang": "de",
                f"{{{names.DIALBACK}}}x": "y",
            },
            {"": names.SERVER, "stream": names.STREAMS, "db": names.DIALBACK},
        )
    ]


@pytest.mark.clause("RTE-05", "RTE-16")
def test_stanzas_of_one_pair_are_one_run_octet_for_octet() -> None:
    octets = M + P + IQ + P + M + M
    assert whole(HEADER + octets)[1:] == [Run(AB, Counts(3, 2, 1), octets)]
    assert len(read(HEADER + octets)) == 2


@pytest.mark.clause("RTE-05")
def test_runs_end_where_the_pair_changes() -> None:
    other = M.replace(b"a.example", b"c.example")
    tokens = read(HEADER + M + M + other + M)[1:]
    assert [(run.pair.sender, run.counts.total) for run in tokens] == [
        ("a.example", 2),
        ("c.example", 1),
        ("a.example", 1),
    ]
    assert b"".join(run.octets for run in tokens) == M + M + other + M


@pytest.mark.clause("RTE-13")
@pytest.mark.parametrize("domain", ["A.Example", "a.example.", "a.EXAMPLE/r@c", "u@a.example"])
def test_pairs_are_of_normalised_domains(domain: str) -> None:
    stanza = M.replace(b"u@a.example/r", domain.encode())
    assert read(HEADER + stanza + M)[1] == Run(AB, Counts(2, 0, 0), stanza + M)


@pytest.mark.clause("XML-04")
def test_white_space_between_stanzas_is_no_part_of_them() -> None:
    tokens = read(HEADER + b" \r\n" + M + b"\n\t" + M + b" " * 20_000 + P + b"\r")
    assert tokens[1:] == [Run(AB, Counts(2, 1, 0), M + M + P)]


@pytest.mark.clause("XML-04")
def test_white_space_is_never_kept() -> None:
    reader = Reader(names.SERVER, LIMITS, careful=False)
    reader.feed(HEADER)
    for _ in range(10):
        assert reader.feed(b" " * LIMITS.max_stanza_bytes) == []
        assert reader.pending() == 0


@pytest.mark.clause("RTE-06")
@pytest.mark.parametrize(
    "to",
    [
        'a"b@b.example',
        "a b@b.example",
        "a<@b.example",
        "a:b@b.example",
        "@b.example",
        "b.example/",
        "u@b.example/\x7f",
        "u" * 1024 + "@b.example",
        "ä" * 512 + "@b.example",
        "b.example/" + "r" * 1024,
    ],
)
def test_a_malformed_recipient_is_answered_for_that_stanza_only(to: str) -> None:
    escaped = to.replace('"', "&quot;").replace("<", "&lt;").encode()
    stanza = M.replace(b"v@b.example", escaped)
    _, before, faulty, after = read(HEADER + M + stanza + M)
    assert before.octets == after.octets == M
    assert isinstance(faulty, Faulty)
    assert (faulty.pair, faulty.octets) == (AB, stanza)
    assert (faulty.error.condition, faulty.error.type) == ("jid-malformed", "modify")


@pytest.mark.clause("RTE-06")
@pytest.mark.parametrize("to", [b"u" * 1023 + b"@b.example", b"b.example/" + b"r" * 1023])
def test_parts_of_1023_octets_are_allowed(to: bytes) -> None:
    assert isinstance(read(HEADER + M.replace(b"v@b.example", to))[1], Run)


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


@pytest.mark.clause("STR-18", "STR-19")
def test_nonzas_come_parsed_in_the_context_of_the_header() -> None:
    octets = b"<db:result from='a.example' to='b.example'>key</db:result>"
    tokens = whole(HEADER + M + octets + P)
    assert [type(token) for token in tokens] == [Header, Run, Element, Run]
    element = tokens[2]
    assert isinstance(element, Element)
    assert element.element.tag == f"{{{names.DIALBACK}}}result"
    assert (element.element.text, element.element.getparent()) == ("key", None)
    assert element.octets == octets
    assert len(read(HEADER + M + octets + P)) == 4


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


@pytest.mark.clause("STR-16", "STR-13")
@pytest.mark.parametrize("closing", [b"</stream:stream>", b"</stream:stream\n>"])
def test_the_closing_tag_ends_all_reading(closing: bytes) -> None:
    assert read(HEADER + P + closing + M + b"<") == [*read(HEADER + P), End()]


def test_a_header_may_be_the_whole_stream() -> None:
    assert read(HEADER[:-1] + b"/>")[1:] == [End()]


@pytest.mark.clause("TLS-02", "STR-13")
def test_a_careful_reader_leaves_alone_what_follows_a_token() -> None:
    starttls = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    reader = Reader(names.SERVER, LIMITS)
    assert [type(t) for t in reader.feed(HEADER + starttls + b"\x16\x03\x01<!")] == [Header]
    assert [type(t) for t in reader.feed(b"")] == [Element]
    assert reader.pending() == 5
    assert Reader(names.SERVER, LIMITS).pending() == 0


def test_pending_is_zero_when_all_octets_are_tokens() -> None:
    reader = Reader(names.SERVER, LIMITS)
    reader.feed(HEADER)
    assert reader.pending() == 0
    reader.feed(b"<stream:features>")
    assert reader.pending() == 17
    reader.feed(b"</stream:features>")
    assert reader.pending() == 0
    reader.feed(b" ")
    assert reader.pending() == 0


def test_a_careful_reader_may_become_a_fast_one_between_two_tokens() -> None:
    reader = Reader(names.SERVER, LIMITS)
    success = b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    reader.feed(HEADER)
    assert [type(t) for t in reader.feed(success + M + M)] == [Element]
    reader.careful = False
    assert reader.feed(b"") == [Run(AB, Counts(2, 0, 0), M + M)]


@pytest.mark.clause("XML-05")
def test_limits_may_change_within_a_stream() -> None:
    reader = Reader(names.SERVER, Limits(200, 3, 3), careful=False)
    reader.feed(HEADER)
    reader.limits = LIMITS
    long = M.replace(
        b">x<", b"><a><b c='1' d='2' e='3' f='4'><i><j/></i></b></a>" + b"x" * 500 + b"<"
    )
    assert [type(token) for token in reader.feed(long)] == [Run]
    assert reader.limits is LIMITS


@pytest.mark.clause("XML-07")
def test_one_stream_outlives_many_parsers() -> None:
    reader = Reader(names.SERVER, LIMITS, careful=False)
    reader.feed(HEADER)
    stanza = M.replace(b">x<", b">" + b"<db:a/>" * 100 + b"<")
    count = 0
    chunk = stanza * 90
    for _ in range(40):
        tokens = reader.feed(chunk[:-100]) + reader.feed(chunk[-100:] + b" \n")
        assert all(isinstance(token, Run) for token in tokens)
        count += sum(token.counts.total for token in tokens if isinstance(token, Run))
    assert count == 3600
    assert [type(token) for token in reader.feed(b"</stream:stream>")] == [End]


@pytest.mark.clause("XML-05")
def test_memory_does_not_grow_with_the_names_a_peer_invents() -> None:
    reader = Reader(names.SERVER, LIMITS, careful=False)
    reader.feed(HEADER)
    tracemalloc.start()
    try:
        base = 0
        for round_ in range(4):
            for i in range(3_000):
                reader.feed(b"<iq from='a%d.example' to='b' id='' type='set'><n%d/></iq>" % (i, i))
            now = tracemalloc.get_traced_memory()[0]
            base = base or now
            assert now < base + 500_000, round_
    finally:
        tracemalloc.stop()


@pytest.mark.clause("XML-05", "XML-07")
@pytest.mark.parametrize("piece", [b"xx > x >", b"xx x x x"])
@pytest.mark.parametrize("opening", [b"<body>", b"<body a='", b"<body a='>", b"<body><![CDATA["])
def test_work_is_linear_in_small_pieces(opening: bytes, piece: bytes) -> None:
    """Quadratic work on half a megabyte would take minutes; the suite's time limit is the judge."""
    reader = Reader(names.SERVER, Limits(1 << 20, 8, 8), careful=False)
    reader.feed(HEADER + b"<message from='a.example' to='b.example'>" + opening)
    for _ in range(60_000):
        assert reader.feed(piece) == []
    assert reader.pending() > 480_000
