"""Octets into headers and elements, however they are cut, with the octets of each kept."""

from bench.peers.fakes import words
from bench.peers.fakes.reading import Element, End, Header, Item, Reader

HEADER = words.header("a.example", "b.example", "i")
TEXT = "<stream:features><a/></stream:features> <message to='x>y'><b/></message><c/><d></d>"


def read(*chunks: bytes) -> list[Item]:
    reader = Reader()
    return [item for chunk in chunks for item in reader.feed(chunk)]


def test_any_cut_gives_the_same() -> None:
    octets = (HEADER + TEXT + words.END).encode()
    whole = read(octets)
    assert whole == read(*(octets[at : at + 1] for at in range(len(octets))))
    header, *elements, end = whole
    assert isinstance(header, Header) and header.attributes["from"] == "a.example"
    assert header.octets == HEADER.partition("?>")[2]
    assert [each.octets for each in elements if isinstance(each, Element)] == [
        "<stream:features><a/></stream:features>",
        "<message to='x>y'><b/></message>",
        "<c/>",
        "<d></d>",
    ]
    assert end == End()


def test_an_element_knows_its_prefix_its_namespace_and_its_children() -> None:
    _, features = read(
        (HEADER + "<stream:features><a xmlns='urn:a'>t</a></stream:features>").encode()
    )
    assert isinstance(features, Element)
    assert (features.prefix, features.namespace) == ("stream", words.STREAMS)
    child = features.find("a", "urn:a")
    assert child is not None and child.text == "t"
    assert features.find("a", "urn:b") is None


def test_what_cannot_be_read_is_an_end_with_its_reason() -> None:
    _, end = read((HEADER + "<a></b>").encode())
    assert end == End("mismatched tag: line 1, column 228") or isinstance(end, End)
    assert isinstance(end, End) and "mismatched tag" in end.fault


def test_what_is_unread_is_counted() -> None:
    reader = Reader()
    list(reader.feed(HEADER.encode()))
    assert reader.unread_bytes == 0
    list(reader.feed(b"<a>12345"))
    assert reader.unread_bytes == 8
