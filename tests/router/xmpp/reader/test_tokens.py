"""What a well-behaved stream becomes."""

import pytest

from router.xmpp import names
from router.xmpp.pair import DomainPair
from router.xmpp.reader import Counts, Element, End, Header, Run
from tests.router.xmpp.reader.reading import HEADER, read, whole

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


@pytest.mark.clause("XML-04")
def test_white_space_between_stanzas_is_no_part_of_them() -> None:
    tokens = read(HEADER + b" \r\n" + M + b"\n\t" + M + b" " * 20_000 + P + b"\r")
    assert tokens[1:] == [Run(AB, Counts(2, 1, 0), M + M + P)]


@pytest.mark.clause("STR-18", "STR-19")
def test_nonzas_come_parsed_in_the_context_of_the_header() -> None:
    octets = b"<db:result from='a.example' to='b.example'>key</db:result>"
    tokens = whole(HEADER + M + octets + P)
    assert [type(token) for token in tokens] == [Header, Run, Element, Run]
    element = tokens[2]
    assert isinstance(element, Element)
    assert element.element.tag == f"{{{names.DIALBACK}}}result"
    assert element.element.text == "key"
    assert element.octets == octets
    assert len(read(HEADER + M + octets + P)) == 4


@pytest.mark.clause("STR-16", "STR-13")
@pytest.mark.parametrize("closing", [b"</stream:stream>", b"</stream:stream\n>"])
def test_the_closing_tag_ends_all_reading(closing: bytes) -> None:
    assert read(HEADER + P + closing + M + b"<") == [*read(HEADER + P), End()]


def test_a_header_may_be_the_whole_stream() -> None:
    assert read(HEADER[:-1] + b"/>")[1:] == [End()]
