"""The size of an element, counted by a parser of its own."""

from pyexpat import ParserCreate

from router.xmpp.reader.span import Size, measured


def test_what_an_element_is_made_of() -> None:
    parser = ParserCreate("UTF-8", "\x01")
    parser.Parse(b"<stream xmlns='urn:s' xmlns:a='urn:a'>", False)
    octets = b"<m xmlns:b='urn:b'><n xmlns='urn:n' xmlns:c='urn:c'/><o/></m>"
    assert measured(parser, octets) == Size(most_namespaces=2, elements=3)
