"""The reader against time: sizes, cuts, careful and fast reading, work and memory."""

import resource
import tracemalloc
from pathlib import Path

import pytest

from router.xmpp import names
from router.xmpp.pair import DomainPair
from router.xmpp.reader import Counts, Element, End, Header, Limits, Reader, Run
from tests.router.xmpp.reader.reading import HEADER, LIMITS, fault, read, whole

OPEN = b"<message from='a.example' to='b.example'>"
TOO_BIG = (names.ERRORS, "stanza-too-big")
AB = DomainPair("a.example", "b.example")
M = b"<message from='u@a.example/r' to='v@b.example'><body>x</body></message>"


@pytest.mark.clause("XML-02")
@pytest.mark.parametrize(
    "octets",
    [
        b"<a><b></a>",
        b"<a b='1' b='2'></a>",
        b"<a b=1></a>",
        b"<a b='1'c='2'/>",
        b"<a b='<'/>",
        b"<a>]]></a>",
        b"<p:a/>",
        b"<a p:b='1'/>",
        b"<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>",
        b"<a xmlns:p=''/>",
        b"<a xmlns:xml='u'/>",
        b"<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
        b"<a xmlns:xmlns='u'/>",
        b"<p:q:a xmlns:p='u'/>",
        b"<a>&#0;</a>",
        b"<a>&#xFFFE;</a>",
        b"<a>\x01</a>",
        b"<a>\xef\xbf\xbe</a>",
        b"<a>& b</a>",
        b"< a/>",
        b"</>",
        b"<![CDATX[ ]]>",
        b"<a><![cdata[ ]]></a>",
        b"<1/>",
    ],
)
def test_what_is_not_well_formed_is_not_routed(octets: bytes) -> None:
    assert read(HEADER + OPEN + octets + b"</message>") == [
        read(HEADER)[0],
        ("fault", "not-well-formed", None),
    ]


@pytest.mark.clause("XML-02")
def test_stanzas_before_the_fault_are_routed_and_none_behind() -> None:
    good = OPEN + b"</message>"
    tokens = read(HEADER + good + good + b"<message a='1' a='1'/>" + good)
    assert [type(token) for token in tokens[:2]] == [Header, Run]
    assert tokens[1].octets == good + good
    assert tokens[2:] == [("fault", "not-well-formed", None)]


@pytest.mark.clause("XML-02")
def test_nothing_is_parsed_after_a_fault() -> None:
    reader = Reader(names.SERVER, LIMITS, careful=False)
    reader.feed(HEADER + b"<message a='1' a='1'/>")
    assert reader.feed(HEADER) == []
    assert reader.feed(OPEN + b"</message>") == []
    assert reader.pending() == 0


@pytest.mark.clause("XML-02")
@pytest.mark.parametrize(
    "octets",
    [
        b"<presence from='a.example' to='b.example'/></presence>",
        b"<presence from='a.example' to='b.example'/></presence >",
    ],
)
def test_an_end_tag_behind_an_empty_stanza_is_not_part_of_it(octets: bytes) -> None:
    _, run, error = read(HEADER + octets)
    assert run.octets == b"<presence from='a.example' to='b.example'/>"
    assert error == ("fault", "not-well-formed", None)


@pytest.mark.clause("XML-05")
@pytest.mark.parametrize(
    "filling", [b"<body>", b"<body a='", b"<body><![CDATA[", b"<body>a > b ", b"<b", b"<body a='>"]
)
def test_a_stanza_is_too_big_one_octet_beyond_the_limit(filling: bytes) -> None:
    stanza = OPEN + filling
    stanza += b"x" * (LIMITS.max_stanza_bytes - len(stanza))
    assert len(read(HEADER + b" \n" + stanza)) == 1
    assert read(HEADER + b" \n" + stanza + b"x")[-1] == ("fault", "policy-violation", TOO_BIG)


@pytest.mark.clause("XML-05")
def test_a_stanza_of_exactly_the_limit_passes() -> None:
    def stanza(octets: int) -> bytes:
        return OPEN + b"x" * (octets - len(OPEN) - 10) + b"</message>"

    run = read(HEADER + stanza(LIMITS.max_stanza_bytes))[1]
    assert len(run.octets) == LIMITS.max_stanza_bytes
    error = read(HEADER + stanza(LIMITS.max_stanza_bytes + 1))[1]
    assert error == ("fault", "policy-violation", TOO_BIG)


@pytest.mark.clause("XML-05", "XML-07")
@pytest.mark.parametrize("at", range(9_980, 10_004))
@pytest.mark.parametrize("bad", [b"\x01>", b"<!-- -->", b"<a b='1' b='2'>", b"\xf0\x80>y>"])
def test_of_two_faults_the_first_in_the_stream_counts(at: int, bad: bytes) -> None:
    stanza = OPEN + b"x" * (at - len(OPEN)) + bad
    assert len(read(HEADER + stanza + b"y" * 50 + b">" + b"z" * 50)) == 2


@pytest.mark.clause("XML-05", "XML-07")
@pytest.mark.parametrize("size", [100, 4_080, 4_097, 5_000, 9_950, 9_990])
@pytest.mark.parametrize("bad", [b"\x01", b"<", b"' b=1 c='", b"\xf0\x80>"])
def test_a_fault_in_a_long_tag_has_one_place(size: int, bad: bytes) -> None:
    tag = b"<a b='" + b">" * 10 + b"x" * size + bad + b">" + b"y>" * 300 + b"'>"
    assert len(read(HEADER + OPEN + tag)) == 2


@pytest.mark.clause("XML-03", "XML-07")
@pytest.mark.parametrize("size", [10, 4_090, 4_096, 5_000])
@pytest.mark.parametrize("place", [b"", b" a='1' b='"])
def test_half_a_character_at_the_end_of_a_long_tag(size: int, place: bytes) -> None:
    tag = b"<b" + b"x" * size + place + b"\xf0>>>" + b"y>" * 20
    assert fault(HEADER + OPEN + tag + b"'>z>") == "unsupported-encoding"


@pytest.mark.clause("XML-03", "XML-07")
@pytest.mark.parametrize("octet", [b"\xff", b"\xf5", b"\xc0", b"\x80"])
def test_an_octet_that_begins_no_character_is_judged_at_the_next_end(octet: bytes) -> None:
    assert fault(HEADER + OPEN + b"<b a='" + octet + b">") == "unsupported-encoding"


@pytest.mark.clause("XML-06")
@pytest.mark.parametrize("filling", [b" ", b"<?xml ", b"<stream:stream a='", b"<stream:stream "])
def test_the_header_is_bounded(filling: bytes) -> None:
    octets = filling + b" " * (LIMITS.max_header_bytes - len(filling))
    assert whole(octets) == []
    assert read(octets + b" ") == [("fault", "policy-violation", None)]


@pytest.mark.clause("XML-04")
def test_white_space_is_never_kept() -> None:
    reader = Reader(names.SERVER, LIMITS, careful=False)
    reader.feed(HEADER)
    for _ in range(10):
        assert reader.feed(b" " * LIMITS.max_stanza_bytes) == []
        assert reader.pending() == 0


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
        for round_ in range(8):
            for i in range(2_000):
                name = b"n%d-%d" % (round_, i) + b"x" * 100
                reader.feed(b"<iq from='a' to='b' id='' type='set'><%s %s=''/></iq>" % (name, name))
            now = tracemalloc.get_traced_memory()[0]
            base = max(base, now) if round_ < 3 else base
            assert now < base + 300_000, round_
    finally:
        tracemalloc.stop()


@pytest.mark.clause("XML-05", "XML-07")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", [b"xx > x >", b"xx x x x"])
@pytest.mark.parametrize("opening", [b"<body>", b"<body a='", b"<body a='>", b"<body><![CDATA["])
def test_work_is_linear_in_small_pieces(opening: bytes, piece: bytes) -> None:
    """Quadratic work on two megabytes would take minutes; the time limit is the judge."""
    reader = Reader(names.SERVER, Limits(1 << 22, 8, 8), careful=False)
    reader.feed(HEADER + b"<message from='a.example' to='b.example'>" + opening)
    for _ in range(250_000):
        assert reader.feed(piece) == []
    assert reader.pending() > 2_000_000


@pytest.mark.clause("XML-01", "XML-07")
def test_in_a_cdata_section_nothing_is_markup() -> None:
    body = b"<body><![CDATA[a > <!-- x --> > <?y?> <!DOCTYPE z> <b> ' > & ]]]]></body></message>"
    tokens = read(HEADER + OPEN + body)
    assert b"a &gt; &lt;!-- x --&gt; &gt; &lt;?y?&gt;" in tokens[1].octets


@pytest.mark.clause("XML-03", "XML-07")
def test_a_fault_that_is_put_off_keeps_its_condition() -> None:
    """Behind 4 KiB of one tag, nothing is judged before the tag ends: by then it is known."""
    tag = OPEN + b"<b a='" + b">" * 10 + b"x" * 5_000
    for bad, condition in ((b"\xff", "unsupported-encoding"), (b"\x01", "not-well-formed")):
        assert len(read(HEADER + tag + bad + b">" * 20)) == 1
        assert fault(HEADER + tag + bad + b">" * 20 + b"'>") == condition


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.clause("XML-06")
def test_no_name_of_a_strangers_is_kept_for_good() -> None:
    """Twelve megabytes of names that never come again, from peers that never prove anything."""

    def strangers(begin: int, count: int) -> None:
        for number in range(begin, begin + count):
            reader = Reader(names.SERVER, LIMITS, hears_stanzas=False)
            some = b"".join(b"<n%d-%d%s xmlns='u'/>" % (number, i, b"x" * 990) for i in range(100))
            more = reader.feed(HEADER + some)
            while more:
                assert isinstance(more[0], Header | Element)
                more = reader.feed(b"")

    strangers(0, 10)
    before = resident_bytes()
    strangers(10, 120)
    assert resident_bytes() - before < 6 << 20
