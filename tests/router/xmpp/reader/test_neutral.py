"""Neutral form: what goes verbatim, and what the rest becomes."""

import pytest

from router.xmpp import names
from router.xmpp.reader import Limits, Run
from tests.router.xmpp.reader.reading import COMPONENT_HEADER, HEADER, fault, infoset, read

FROM_TO = b" from='a.example' to='b.example'"
PREFIX_FREE = b"<stream xmlns='http://etherx.jabber.org/streams' xmlns:stream='urn:unused'>"


def neutral(stanza: bytes, header: bytes = HEADER) -> bytes:
    """The stanza as it leaves; it must mean the same in a component's stream."""
    run = read(header + stanza)[1]
    assert isinstance(run, Run), run
    given = header.partition(b"?>")[2] or header
    if header is not PREFIX_FREE:
        same = infoset(run.octets, COMPONENT_HEADER, names.COMPONENT)
        if b"xml:lang" not in header:
            assert same == infoset(stanza, given, names.SERVER)
    again = read(COMPONENT_HEADER + run.octets, content=names.COMPONENT)[1]
    assert again.octets == run.octets
    return bytes(run.octets)


@pytest.mark.clause("RTE-14", "RTE-16")
@pytest.mark.parametrize(
    "stanza",
    [
        b"<message%s><body>stream of mongodb://x</body></message>",
        b"<message%s a='&#10;&#9;'><body>&lt;&amp;&#13;</body></message>",
        b"<iq%s type='get' id='1'><query xmlns='u'><p:x xmlns:p='v' p:a=''/></query></iq>",
        b"<presence%s xml:lang='fr'/>",
        b"<message%s><x xmlns=''/></message>",
        b"<message%s><body xmlns='jabber:client'>&#x20AC; \xe2\x82\xac</body></message>",
        b"<message \n%s\t></message\r\n>",
    ],
)
def test_self_contained_stanzas_leave_as_they_came(stanza: bytes) -> None:
    stanza = stanza % FROM_TO
    assert neutral(stanza) == stanza


@pytest.mark.clause("STR-19", "RTE-14", "STR-11", "XML-08")
@pytest.mark.parametrize(
    "stanza, expected",
    [
        (
            b"<message%s><db:x db:y='1'/></message>",
            b'<message xmlns:db="jabber:server:dialback"%s><db:x db:y="1"/></message>',
        ),
        (b"<message xmlns='jabber:server'%s><body/></message>", b"<message%s><body/></message>"),
        (
            b"<message xmlns='jabber&#58;server'%s><body/></message>",
            b"<message%s><body/></message>",
        ),
        (
            b"<message%s><body xmlns='jabber:server'>x</body></message>",
            b"<message%s><body>x</body></message>",
        ),
        (
            b"<message%s><s:body xmlns:s='jabber:server'>x</s:body></message>",
            b'<message%s><body xmlns:s="jabber:server">x</body></message>',
        ),
        (
            b"<message%s><x xmlns='u'><y xmlns='jabber:server'/></x></message>",
            b'<message%s><x xmlns="u"><y xmlns="jabber:server"/></x></message>',
        ),
        (
            b"<message%s><b xmlns='jabber:server'><x xmlns='u'/><y/></b><z xmlns=''/></message>",
            b'<message%s><b><x xmlns="u"/><y/></b><z xmlns=""/></message>',
        ),
        (
            b"<message%s><s:b xmlns:s='jabber:server' xmlns='u'><x/></s:b></message>",
            b'<message%s><b xmlns:s="jabber:server"><x xmlns="u"/></b></message>',
        ),
        (
            b"<message%s><p:x xmlns:p='u'><db:y/><body/></p:x></message>",
            b'<message xmlns:db="jabber:server:dialback"%s>'
            b'<p:x xmlns:p="u"><db:y/><body/></p:x></message>',
        ),
        (
            b"<message%s><db:x xmlns:db='u'/></message>",
            b'<message xmlns:db="jabber:server:dialback"%s><db:x xmlns:db="u"/></message>',
        ),
        (
            b"<message%s><b><![CDATA[<&>]]>]]&gt;</b></message>",
            b"<message%s><b>&lt;&amp;&gt;]]&gt;</b></message>",
        ),
        (
            b"<message%s a='&#10;\n&#9;&#13;&quot;'><b>&#13;\r\n</b><db:z/></message>",
            b'<message xmlns:db="jabber:server:dialback"%s a=\'&#10; &#9;&#13;"\'>'
            b"<b>&#13;\n</b><db:z/></message>",
        ),
    ],
)
def test_the_others_are_rebuilt(stanza: bytes, expected: bytes) -> None:
    assert neutral(stanza % FROM_TO) == expected % FROM_TO.replace(b"'", b'"')


@pytest.mark.clause("STR-11")
def test_a_prefix_free_stream_works() -> None:
    stanza = b"<message xmlns='jabber:server'%s><body/></message>" % FROM_TO
    assert (
        neutral(stanza, PREFIX_FREE)
        == b'<message from="a.example" to="b.example"><body/></message>'
    )


@pytest.mark.clause("STR-11")
def test_other_prefixes_for_stream_and_dialback_work() -> None:
    header = HEADER.replace(b"stream:", b"s:").replace(b":stream=", b":s=").replace(b":db", b":d")
    assert neutral(b"<message%s/>" % FROM_TO, header) == b"<message%s/>" % FROM_TO
    result = read(header + b"<d:result%s>k</d:result>" % FROM_TO)[1]
    assert b"jabber:server:dialback" in result[0]


@pytest.mark.clause("RTE-15")
@pytest.mark.parametrize(
    "stanza, expected",
    [
        (b"<presence%s/>", b'<presence xml:lang="de-AT"%s/>'),
        (
            b"<message%s><b xml:lang='it'/></message>",
            b"<message xml:lang=\"de-AT\"%s><b xml:lang='it'/></message>",
        ),
        (b"<message%s xml:lang='fr'/>", b'<message%s xml:lang="fr"/>'),
        (b"<message%s xml:lang=''/>", b'<message%s xml:lang=""/>'),
        (
            b"<message%s>a xml:lang b</message>",
            b'<message%s xml:lang="de-AT">a xml:lang b</message>',
        ),
        (
            b"<message%s><![CDATA[x]]></message>",
            b'<message%s xml:lang="de-AT">x</message>',
        ),
    ],
)
def test_the_language_of_the_header_goes_with_the_stanza(stanza: bytes, expected: bytes) -> None:
    header = HEADER.replace(b" from", b" xml:lang='de-AT' from")
    run = read(header + stanza % FROM_TO + stanza % FROM_TO)[1]
    same = run.octets.replace(b"'", b'"')
    assert same == (expected % FROM_TO).replace(b"'", b'"') * 2
    assert run.counts.total == 2


@pytest.mark.clause("RTE-15")
@pytest.mark.parametrize("language", [b"en", b"EN", b"", b"d&quot;e", b"d" * 7000, b"a-" * 40])
def test_a_language_declared_everywhere_or_that_is_none_is_not_repeated(language: bytes) -> None:
    header = HEADER.replace(b" from", b" xml:lang='" + language + b"' from")
    assert read(header + b"<presence%s/>" % FROM_TO)[1].octets == b"<presence%s/>" % FROM_TO


@pytest.mark.clause("RTE-05", "RTE-14")
def test_a_doubtful_stanza_does_not_change_its_neighbours() -> None:
    plain = b"<message%s><body>db: </body></message>" % FROM_TO
    doubtful = b"<iq%s id='1' type='get'><db:x/></iq>" % FROM_TO
    run = read(HEADER + plain + doubtful + plain)[1]
    assert run.octets.startswith(plain) and run.octets.endswith(plain)
    assert (run.counts.messages, run.counts.iqs) == (2, 1)
    assert b"xmlns:db" in run.octets


@pytest.mark.clause("XML-06")
def test_a_header_does_not_make_small_stanzas_large() -> None:
    declared = b" xmlns:t='" + b"u" * 1100 + b"' from"
    assert fault(HEADER.replace(b" from", declared, 1)) == "policy-violation"


@pytest.mark.clause("XML-05", "XML-08")
def test_a_stanza_that_grows_beyond_the_limit_when_it_is_rebuilt() -> None:
    limits = Limits(max_stanza_bytes=10_000, max_depth=8, max_attributes=8)
    stanza = b"<message%s><b><![CDATA[%s]]></b></message>"
    assert isinstance(read(HEADER + stanza % (FROM_TO, b"<" * 4000), limits)[1], Run)
    assert fault(HEADER + stanza % (FROM_TO, b"<" * 9900), limits) == "policy-violation"
