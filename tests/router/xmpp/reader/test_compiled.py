"""The compiled hot path: what takes it, what leaves it, and that it comes back to it.

That both readers say the same is `reading`'s and the fuzzer's business, on every test's input.
"""

import subprocess
import sys
from collections.abc import Callable

import pytest

from router.xmpp import names
from router.xmpp.reader import IMPLEMENTATION, Counts, Fault, Faulty, Limits, Run, pure
from router.xmpp.reader.tokens import Token
from tests.router.xmpp.reader.reading import (
    COMPONENT_HEADER,
    HEADER,
    LIMITS,
    comparable,
    pieces,
    read,
)

if IMPLEMENTATION != "compiled":
    pytest.skip("the extension was not built: no compiler at installation", allow_module_level=True)

from router.xmpp.reader import _scan, compiled

M = b"<message from='u@a.example/r' to='v@b.example'><body>x</body></message>"
OTHER = M.replace(b"v@b", b"w@b")
CDATA = M.replace(b">x<", b"><![CDATA[x]]><")


class Watched:
    """A compiled reader in an open stream, and the octets that went to expat since."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limits: Limits = LIMITS) -> None:
        self.reader = compiled.Reader(names.SERVER, limits, careful=False)
        self.reader.feed(HEADER)
        self.slowly = b""
        feed: Callable[[pure.Reader, bytes], list[Token]] = pure.Reader.feed

        def watched(reader: pure.Reader, octets: bytes) -> list[Token]:
            if reader is self.reader:
                self.slowly += octets
            return feed(reader, octets)

        monkeypatch.setattr(pure.Reader, "feed", watched)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


ORDINARY = [
    M,
    M.replace(b"</message>", b"</message >"),
    b"<presence from='a.example' to='b.example'/>",
    b"<presence from='a.example' to='b.example' ></presence>",
    b"<iq from='a.example' to='b.example' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
    b'<message to="b.example"\n from="a.example"><body xml:lang="de">\xc3\xa4 &lt;&amp;&gt;</body>'
    b"<p:x xmlns:p='urn:p' p:a='>' b='2'><p:y>it's ] ]] > 12:30</p:y></p:x></message>",
    M.replace(b">x<", b">" + "€ 𝄞 \x7f".encode() + b"<"),
    b"<message from='\xc3\xa4@a.example' to='b.example'/>",
    b"<message from='a.example' to='b.example'><f xmlns='urn:f'><message xmlns='jabber:client'/>"
    b"</f></message>",
]


@pytest.mark.parametrize("stanza", ORDINARY)
def test_ordinary_stanzas_never_meet_expat(watched: Watched, stanza: bytes) -> None:
    (run,) = watched.reader.feed(stanza)
    assert isinstance(run, Run)
    assert (run.octets, run.counts.total) == (stanza, 1)
    assert watched.slowly == b""
    assert read(HEADER + stanza)[1] == run


DOUBTFUL = [
    CDATA,
    M.replace(b">x<", b">&#120;<"),
    M.replace(b">x<", b">jabber:server<"),
    M.replace(b">x<", b">as db:x<"),
    M.replace(b"<body>", b"<db:x/><body>"),
    M.replace(b"<body>", b"<stream:x xmlns:stream='u'/><body>"),
    M.replace(b"<body>", b"<body xmlns=''>"),
    M.replace(b"<body>", b"<body xmlns='jabber:server'>"),
    M.replace(b"<message", b"<message xmlns='jabber:server'"),
    M.replace(b"<body>", b"<b\xc3\xa4/><body>"),
    M.replace(b"<body>", b"<body a = '1'>"),
    M.replace(b"<body>", b"<body xmlns:p='u' xmlns:q='v' p:a='1' q:a='1'>"),
    M.replace(b"to='v", b"to='&apos;"),
    b"<iq from='a.example' to='b.example' id='1' type='ask'></iq>",
]


@pytest.mark.parametrize("stanza", DOUBTFUL)
def test_what_is_not_ordinary_goes_to_expat_alone(watched: Watched, stanza: bytes) -> None:
    tokens = watched.reader.feed(M + stanza + M + OTHER)
    assert watched.slowly == stanza
    stanzas = [token for token in tokens if isinstance(token, Run | Faulty)]
    assert sum(t.counts.total if isinstance(t, Run) else 1 for t in stanzas) == 4
    read(HEADER + M + stanza + M)


BROKEN = [
    b"<body>\x01",
    b"<body>\xc3(",
    b"<body>\xed\xa0\x80",
    b"<body>\xf4\x90\x80\x80",
    b"<body>\xef\xbf\xbf",
    b"<body>\xc0\xaf",
    b"<body>]]>",
    b"<body>&nbsp;",
    b"<body></b>",
    b"<body></bodyx>",
    b"<body a='1' a='2'>",
    b"<body xmlns:p='u' xmlns:p='v'>",
    b"<body xmlns:p='u' xmlns:q='u' p:a='1' q:a='1'>",
    b"<body a='<'>",
    b"<body a='1'b='2'>",
    b"<body a=1>",
    b"<p:body>",
    b"<body p:a='1'>",
    b"<x xmlns:p='u'/><p:body>",
    b"<body xmlns:p=''>",
    b"<body xmlns:xml='u'>",
    b"<body xmlns:xmlns='u'>",
    b"<body xmlns='http://www.w3.org/2000/xmlns/'>",
    b"<body xmlns:p='http://www.w3.org/XML/1998/namespace'>",
    b"<a:b:c xmlns:a='u'>",
    b"<:b>",
    b"<1>",
    b"<!--",
    b"<?",
]


@pytest.mark.clause("XML-01", "XML-02", "XML-03")
@pytest.mark.parametrize("inner", BROKEN)
def test_what_is_broken_is_a_fault_and_was_never_taken(inner: bytes) -> None:
    octets = M.replace(b"<body>", inner).replace(b"</body>", b"</body><body/>")
    *before, last = read(HEADER + M + octets + M)
    assert last[0] == "fault"
    assert [token.counts for token in before[1:]] == [Counts(1, 0, 0)]


def test_every_limit_is_kept(watched: Watched) -> None:
    deep = M.replace(b">x<", b">" + b"<a>" * 7 + b"</a>" * 7 + b"<")
    wide = M.replace(b"<body>", b"<body" + b"".join(b" a%d=''" % n for n in range(9)) + b">")
    tight = Limits(10_000, 8, 8, max_namespaces=2, max_elements=3)
    spaces = M.replace(b"<body>", b"<body xmlns:a='u' xmlns:b='u' xmlns:c='u'>")
    many = M.replace(b">x<", b"><a/><a/><")
    big = M.replace(b">x<", b">" + b"x" * 10_000 + b"<")
    for stanza, limits in (
        (deep, LIMITS),
        (wide, LIMITS),
        (spaces, tight),
        (many, tight),
        (big, LIMITS),
    ):
        *_, last = read(HEADER + M + stanza, limits)
        assert last[:2] == ("fault", "policy-violation")


def test_limits_may_change_between_calls(watched: Watched) -> None:
    watched.reader.feed(M)
    watched.reader.limits = Limits(len(M) - 1, 8, 8)
    (fault,) = watched.reader.feed(M)
    assert isinstance(fault, Fault)


def test_addresses_never_seen_stay_on_the_hot_path(watched: Watched) -> None:
    new = M.replace(b"u@", b"nobody-has-seen-me@")
    runs = watched.reader.feed(new + M)
    assert [run.counts.total for run in runs if isinstance(run, Run)] == [2]
    assert watched.slowly == b""


def test_a_bad_address_is_a_fault_before_the_stanza_is_complete() -> None:
    tokens = pieces([HEADER, M, b"<message from='a b@c@d' to='b.example'><body>"])
    assert isinstance(tokens[-1], Fault)
    assert tokens[-1].error.condition == "improper-addressing"


def test_white_space_between_stanzas_is_dropped(watched: Watched) -> None:
    runs = watched.reader.feed(b" " + M + b"\n\t" + M + OTHER + b" ")
    assert [run.octets for run in runs if isinstance(run, Run)] == [M, M + OTHER]
    assert watched.reader.pending() == 0
    assert watched.slowly == b""


def test_a_stanza_in_two_parts_waits_for_its_end(watched: Watched) -> None:
    for cut in range(1, len(M)):
        assert watched.reader.feed(M[:cut]) == []
        assert watched.reader.pending() == cut
        (run,) = watched.reader.feed(M[cut:])
        assert isinstance(run, Run) and run.octets == M
    assert watched.slowly == b""


def test_a_stanza_that_trickles_in_is_not_looked_at_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = Limits(400_000, 8, 8)
    watched = Watched(monkeypatch, limits)
    looked_at = 0
    scanner = watched.reader._scanner

    class Counting:
        def scan(self, octets: bytes, begin: int) -> object:
            nonlocal looked_at
            looked_at += len(octets) - begin
            assert scanner is not None
            return scanner.scan(octets, begin)

    monkeypatch.setattr(watched.reader, "_scanner", Counting())
    stanza = M.replace(b">x<", b">" + b"x" * 300_000 + b"<")
    tokens: list[Token] = []
    for at in range(0, len(stanza), 64):
        tokens += watched.reader.feed(stanza[at : at + 64])
    (run,) = tokens
    assert isinstance(run, Run) and run.octets == stanza
    assert looked_at < 10 * len(stanza)
    assert watched.slowly


def test_many_doubts_at_once_are_not_handed_over_one_by_one(watched: Watched) -> None:
    (*_,) = watched.reader.feed(CDATA * 50 + M)
    assert watched.slowly == CDATA * 50 + M
    watched.slowly = b""
    watched.reader.feed(M)
    assert watched.slowly == b""


def test_a_stanza_in_a_stanza_is_read_to_its_end(watched: Watched) -> None:
    nested = CDATA.replace(b"<body>", b"<f xmlns='u'>" + M + b"</f><body>")
    tokens = watched.reader.feed(nested + M)
    assert sum(token.counts.total for token in tokens if isinstance(token, Run)) == 2
    assert watched.slowly == nested


def test_a_header_that_stanzas_depend_on_leaves_them_to_expat() -> None:
    spoken = HEADER.replace(b" from", b" xml:lang='de' from")
    reader = compiled.Reader(names.SERVER, LIMITS, careful=False)
    reader.feed(spoken)
    (run,) = reader.feed(M)
    assert isinstance(run, Run) and b"xml:lang" in run.octets
    assert read(COMPONENT_HEADER + M, content=names.COMPONENT)[1].octets == M


def test_the_scanner_refuses_misuse() -> None:
    needles = (b"a:",)
    scanner = _scan.Scanner(needles, {}, {}, str, str)
    with pytest.raises(ValueError, match="outside"):
        scanner.scan(b"x", 2)
    with pytest.raises(ValueError, match="outside"):
        scanner.scan(b"x", -1)
    with pytest.raises(TypeError):
        scanner.scan("x", 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="colon"):
        _scan.Scanner((b"a",), {}, {}, str, str)
    with pytest.raises(ValueError, match="needles"):
        _scan.Scanner(needles * (_scan.MAX_NEEDLES + 1), {}, {}, str, str)
    with pytest.raises(ValueError, match="second"):
        scanner.__init__(needles, {}, {}, str, str)  # type: ignore[misc]


def test_what_a_judge_raises_comes_out() -> None:
    def broken(address: str) -> str:
        raise LookupError(address)

    for scanner in (
        _scan.Scanner((), {}, {"v@b.example": "b"}, broken, str),
        _scan.Scanner((), {"u@a.example/r": "a"}, {}, str, broken),
    ):
        scanner.limit(10_000, 8, 8, 8, 8)
        with pytest.raises(LookupError):
            scanner.scan(M, 0)


@pytest.mark.parametrize("name", ["pure", "compiled"])
def test_the_environment_may_name_a_reader(name: str) -> None:
    program = "from router.xmpp.reader import IMPLEMENTATION, Reader; print(IMPLEMENTATION, Reader)"
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={"CAUSEWAY_READER": name},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split()[0] == name
    assert f".{name}.Reader" in run.stdout


def test_an_unknown_reader_is_refused() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import router.xmpp.reader"],
        env={"CAUSEWAY_READER": "fast"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "CAUSEWAY_READER is 'fast'" in run.stderr


@pytest.mark.parametrize(
    "ack",
    [
        b"<r xmlns='urn:xmpp:sm:3'/>",
        b"<a xmlns='urn:xmpp:sm:3' h='7'/>",
        b"<r xmlns='urn:x' a='>'></r>",
    ],
)
def test_acknowledgements_between_stanzas_do_not_slow_them(watched: Watched, ack: bytes) -> None:
    """However many there are in one read (XEP-0198 §4)."""
    octets = (M + ack) * 20
    tokens = watched.reader.feed(octets)
    assert comparable(tokens) == read(HEADER + octets)[1:]
    assert watched.slowly == ack * 20
