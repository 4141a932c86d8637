"""Bad input on the wire, in every phase: the error the ledger names, and a node that works on.

One node serves all of it; its fixture fails when a process crashed or logged a traceback.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
import pytest_asyncio

from bench.authority import Authority
from bench.peers.causeway import Causeway
from tests.support.component import Component, attached
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, TYBALT, VERONA, certificate
from tests.support.scripted_peer import (
    BIDI,
    END,
    PROCEED,
    STARTTLS,
    SUCCESS,
    Peer,
    Wire,
    auth,
    header,
    message,
    scripted,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROMEO, JULIET = f"romeo@{MONTAGUE}", f"juliet@{CAPULET}"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
STREAMS = "urn:ietf:params:xml:ns:xmpp-streams"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
TO_US = f"from='{CAPULET}' to='{MONTAGUE}'"
OURS = f'from="{MONTAGUE}" to="{CAPULET}"'
COMPONENT_HEADER = (
    "<stream:stream xmlns='jabber:component:accept' to='{}'"
    " xmlns:stream='http://etherx.jabber.org/streams'>"
)


class Case(NamedTuple):
    """What is sent, what must come of it, and the clause."""

    octets: str | bytes
    outcome: str
    clause: str


class Fatal(str):
    """A stream error: this condition, then the end of stream and connection."""


class Stays(str):
    """The stream lives; these octets came back ("": none, the input was dropped)."""


class Drops(str):
    """The connection ends at once; what came back before that is this text."""


def sasl_failure(condition: str) -> Stays:
    return Stays(f"<failure xmlns='{SASL}'><{condition}/></failure>")


def parametrize(cases: dict[str, Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "case",
        [
            pytest.param(case, id=name, marks=pytest.mark.clause(case.clause))
            for name, case in cases.items()
        ],
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def capulet(issuer: Authority) -> AsyncIterator[Peer]:
    async with scripted(CAPULET, MONTAGUE, certificate(issuer, CAPULET)) as peer:
        yield peer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def romeo(shared_node: Causeway) -> AsyncIterator[Component]:
    async with attached(MONTAGUE, SECRET, shared_node.component_port) as component:
        yield component


async def judge(wire: Wire, outcome: str, alive: str = "") -> None:
    """Hold what has come since the mark against the outcome; `alive` proves that a stream lives."""
    if isinstance(outcome, Fatal):
        last = await wire.ended()
        assert f"<stream:error><{outcome} xmlns='{STREAMS}'/>" in last
        assert last.endswith("</stream:error></stream:stream>")
        assert wire.received.startswith("<?xml version='1.0'?><stream:stream ")
    elif isinstance(outcome, Drops):
        assert await wire.ended() == outcome
    else:
        if outcome:
            await wire.until(outcome)
        if alive:
            await wire.send(alive)
        assert (await wire.closed_in_order()).count("<stream:error>") == 0
        assert wire.received.endswith(END)


@asynccontextmanager
async def works_on(node: Causeway, capulet: Peer, romeo: Component) -> AsyncIterator[None]:
    """What happens within reaches no component, and the node serves the next peer as ever."""
    before, others = romeo.arrived, len(romeo.others)
    yield
    wire = await capulet.authenticated(node.s2s_port)
    await wire.send(message(JULIET, ROMEO, f"n{before}"))
    await romeo.until(lambda: romeo.arrived > before)
    assert (romeo.arrived, len(romeo.others)) == (before + 1, others)
    await wire.closed_in_order()


FIRST = {
    "not XML": Case("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Fatal("not-well-formed"), "XML-02"),
    "a TLS handshake": Case(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", Fatal("not-well-formed"), "XML-02"
    ),
    "another root": Case("<foo/>", Fatal("invalid-namespace"), "STR-10"),
    "a client's namespace": Case(
        header(CAPULET, MONTAGUE, xmlns="jabber:client"), Fatal("invalid-namespace"), "STR-10"
    ),
    "a document type": Case(
        "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]>", Fatal("restricted-xml"), "XML-01"
    ),
    "another encoding": Case(
        "<?xml version='1.0' encoding='latin1'?>", Fatal("unsupported-encoding"), "XML-03"
    ),
    "a domain not hosted": Case(header(CAPULET, "nope"), Fatal("host-unknown"), "STR-02"),
    "no target": Case(header(CAPULET, None), Fatal("host-unknown"), "STR-03"),
    "a user as sender": Case(header(JULIET, MONTAGUE), Fatal("improper-addressing"), "STR-04"),
    "our own domain as sender": Case(
        header(VERONA, MONTAGUE), Fatal("improper-addressing"), "STR-04"
    ),
    "a version in words": Case(
        header(CAPULET, MONTAGUE, version="one"), Fatal("unsupported-version"), "STR-07"
    ),
    "no version where TLS is required": Case(
        header(CAPULET, MONTAGUE, version=None), Fatal("policy-violation"), "STR-08"
    ),
    "an endless header": Case(
        header(CAPULET, MONTAGUE)[:-1] + " a='" + "a" * 20_000, Fatal("policy-violation"), "XML-06"
    ),
}
PLAIN = {
    "a stanza": Case(message(JULIET, ROMEO, 1), Fatal("not-authorized"), "STR-17"),
    "a dialback key": Case(
        f"<db:result {TO_US}>abc</db:result>",
        Stays(
            f"<db:result {OURS} type=\"error\"><error type='modify'>"
            f"<policy-violation xmlns='{STANZAS}'/></error></db:result>"
        ),
        "TLS-07",
    ),
    "EXTERNAL": Case(auth(CAPULET), sasl_failure("encryption-required"), "TLS-07"),
    "bidi": Case(BIDI, Stays(), "TLS-07"),
    "something of another namespace": Case("<foo xmlns='urn:x'/>", Stays(), "STR-18"),
    "something unknown": Case("<foo/>", Fatal("unsupported-stanza-type"), "STR-18"),
    "text": Case("hello", Fatal("bad-format"), "XML-04"),
    "a comment": Case("<!-- -->", Fatal("restricted-xml"), "XML-01"),
    "tags that cross": Case("<a xmlns='urn:x'><b></a>", Fatal("not-well-formed"), "XML-02"),
    "octets behind starttls": Case(
        STARTTLS + f"<db:result {TO_US}>abc</db:result>", Drops(), "TLS-02"
    ),
    "an endless element": Case(
        "<db:result a='" + "a" * 20_000, Fatal("policy-violation"), "XML-05"
    ),
}

SECURE = {
    "a stanza": Case(message(JULIET, ROMEO, 1), Fatal("not-authorized"), "STR-17"),
    "starttls again": Case(STARTTLS, Drops(f"<failure xmlns='{TLS}'/>{END}"), "TLS-04"),
    "another mechanism": Case(auth(CAPULET, "PLAIN"), sasl_failure("invalid-mechanism"), "SAS-06"),
    "another identity": Case(auth(TYBALT), sasl_failure("invalid-authzid"), "SAS-03"),
    "bad base64": Case(
        f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>BBBB=CCC</auth>",
        sasl_failure("incorrect-encoding"),
        "SAS-05",
    ),
    "a response without auth": Case(
        f"<response xmlns='{SASL}'/>", sasl_failure("not-authorized"), "SAS-06"
    ),
    "six attempts": Case(auth(TYBALT) * 6, Fatal("policy-violation"), "SAS-10"),
    "a key for a domain not hosted": Case(
        f"<db:result from='{CAPULET}' to='nope'>abc</db:result>",
        Stays(
            f'<db:result from="nope" to="{CAPULET}" type="error"><error type=\'cancel\'>'
            f"<item-not-found xmlns='{STANZAS}'/></error></db:result>"
        ),
        "DBK-06",
    ),
    "a key from our own domain": Case(
        f"<db:result from='{VERONA}' to='{MONTAGUE}'>abc</db:result>",
        Stays("<policy-violation "),
        "DBK-07",
    ),
    "a key from a user": Case(
        f"<db:result from='{JULIET}' to='{MONTAGUE}'>abc</db:result>",
        Fatal("improper-addressing"),
        "DBK-02",
    ),
    "a key without target": Case(
        f"<db:result from='{CAPULET}'>abc</db:result>", Fatal("improper-addressing"), "DBK-02"
    ),
    "a question without id": Case(
        f"<db:verify {TO_US}>abc</db:verify>", Stays("<bad-request "), "DBK-13"
    ),
    "a question about a domain not hosted": Case(
        f"<db:verify from='{CAPULET}' to='nope' id='i'>abc</db:verify>",
        Stays(
            f'<db:verify from="nope" to="{CAPULET}" id="i" type="error"><error type=\'cancel\'>'
            f"<item-not-found xmlns='{STANZAS}'/></error></db:verify>"
        ),
        "DBK-13",
    ),
    "a wrong key": Case(
        f"<db:verify {TO_US} id='i'>abc</db:verify>",
        Stays(f'<db:verify {OURS} id="i" type="invalid"/>'),
        "DBK-12",
    ),
    "an answer nobody asked for": Case(f"<db:result {TO_US} type='valid'/>", Stays(), "BIDI-19"),
    "eleven answers nobody asked for": Case(
        f"<db:result {TO_US} type='valid'/>" * 11, Fatal("policy-violation"), "DBK-28"
    ),
    "a verdict nobody asked for": Case(
        f"<db:verify {TO_US} id='i' type='valid'/>", Stays(), "DBK-28"
    ),
    "a stanza after an unasked answer": Case(
        f"<db:result {TO_US} type='valid'/>" + message(JULIET, ROMEO, 1),
        Fatal("not-authorized"),
        "DBK-28",
    ),
}

OPEN = {
    "no sender": Case(
        f"<message to='{ROMEO}'><body/></message>", Fatal("improper-addressing"), "RTE-01"
    ),
    "no target": Case(
        f"<message from='{JULIET}'><body/></message>", Fatal("improper-addressing"), "RTE-01"
    ),
    "another hosted domain": Case(
        message(JULIET, f"a@{VERONA}", 1), Fatal("host-unknown"), "RTE-02"
    ),
    "transit": Case(message(JULIET, f"a@{TYBALT}", 1), Fatal("host-unknown"), "RTE-04"),
    "another sender": Case(message(f"a@{TYBALT}", ROMEO, 1), Fatal("invalid-from"), "RTE-03"),
    "our own domain as sender": Case(
        message(f"a@{VERONA}", ROMEO, 1), Fatal("invalid-from"), "RTE-03"
    ),
    "a malformed target": Case(
        f"<message from='{JULIET}' to='a\"b@{MONTAGUE}' id='x'/>",
        Stays("<jid-malformed "),
        "RTE-06",
    ),
    "an iq without id": Case(
        f"<iq from='{JULIET}' to='{ROMEO}' type='get'><a xmlns='urn:a'/></iq>",
        Stays("<bad-request "),
        "RTE-09",
    ),
    "an iq of another type": Case(
        f"<iq from='{JULIET}' to='{ROMEO}' id='x' type='subscribe'/>",
        Stays("<bad-request "),
        "RTE-09",
    ),
    "a client's stanza": Case(
        f"<message xmlns='jabber:client' from='{JULIET}' to='{ROMEO}'/>",
        Fatal("invalid-namespace"),
        "STR-18",
    ),
    "a stanza with a prefix": Case(
        f"<s:message xmlns:s='jabber:server' from='{JULIET}' to='{ROMEO}'/>",
        Fatal("bad-namespace-prefix"),
        "STR-11",
    ),
    "something unknown": Case(
        f"<foo from='{JULIET}' to='{ROMEO}'/>", Fatal("unsupported-stanza-type"), "STR-18"
    ),
    "something of another namespace": Case(
        f"<foo xmlns='urn:x' from='{JULIET}' to='{ROMEO}'/>", Stays(), "STR-18"
    ),
    "a comment in a stanza": Case(
        f"<message from='{JULIET}' to='{ROMEO}'><!-- --></message>",
        Fatal("restricted-xml"),
        "XML-01",
    ),
    "an entity": Case(
        f"<message from='{JULIET}' to='{ROMEO}'><body>&lol;</body></message>",
        Fatal("restricted-xml"),
        "XML-01",
    ),
    "a prefix nobody declared": Case(
        f"<message from='{JULIET}' to='{ROMEO}'><a:b/></message>",
        Fatal("not-well-formed"),
        "STR-19",
    ),
    "not UTF-8": Case(
        message(JULIET, ROMEO, 1).encode().replace(b"hear", b"\xff"),
        Fatal("unsupported-encoding"),
        "XML-03",
    ),
    "a forbidden character": Case(
        message(JULIET, ROMEO, "&#0;"), Fatal("not-well-formed"), "XML-08"
    ),
    "too big, without an end": Case(
        f"<message from='{JULIET}' to='{ROMEO}'><body>" + "a" * 300_000,
        Fatal("policy-violation"),
        "XML-05",
    ),
    "too deep": Case(
        f"<message from='{JULIET}' to='{ROMEO}'>" + "<a>" * 1000,
        Fatal("policy-violation"),
        "XML-06",
    ),
    "too many attributes": Case(
        f"<message from='{JULIET}' to='{ROMEO}'><a "
        + " ".join(f"a{n}=''" for n in range(100))
        + "/></message>",
        Fatal("policy-violation"),
        "XML-06",
    ),
    "EXTERNAL again": Case(auth(CAPULET), sasl_failure("not-authorized"), "SAS-06"),
    "bidi too late": Case(BIDI, Stays(), "BIDI-07"),
    "starttls too late": Case(STARTTLS, Drops(f"<failure xmlns='{TLS}'/>{END}"), "TLS-04"),
    "a stream error": Case(
        f"<stream:error><reset xmlns='{STREAMS}'/></stream:error>{END}", Drops(END), "ERR-02"
    ),
    "a stream error we do not know": Case(
        "<stream:error><weather xmlns='urn:x'/></stream:error>", Drops(END), "ERR-02"
    ),
}

COMPONENT = {
    "a server's namespace": Case(header(None, VERONA), Fatal("invalid-namespace"), "CMP-01"),
    "a domain not hosted": Case(COMPONENT_HEADER.format("nope"), Fatal("host-unknown"), "CMP-02"),
    "a stanza before the handshake": Case(
        COMPONENT_HEADER.format(VERONA) + message(f"a@{VERONA}", ROMEO, 1),
        Fatal("not-authorized"),
        "CMP-03",
    ),
    "a wrong handshake": Case(
        COMPONENT_HEADER.format(VERONA) + "<handshake>abc</handshake>",
        Fatal("not-authorized"),
        "CMP-03",
    ),
    "an element before the handshake": Case(
        COMPONENT_HEADER.format(VERONA) + "<foo xmlns='urn:x'/>", Fatal("not-authorized"), "CMP-03"
    ),
}

ATTACHED = {
    "no sender": Case(f"<message to='{ROMEO}'/>", Fatal("improper-addressing"), "CMP-04"),
    "no target": Case(f"<message from='a@{VERONA}'/>", Fatal("improper-addressing"), "CMP-04"),
    "another sender": Case(message(JULIET, ROMEO, 1), Fatal("invalid-from"), "CMP-04"),
    "a comment": Case("<!-- -->", Fatal("restricted-xml"), "XML-01"),
    "tags that cross": Case(
        f"<message from='a@{VERONA}' to='{ROMEO}'></iq>", Fatal("not-well-formed"), "XML-02"
    ),
    "too deep": Case(
        f"<message from='a@{VERONA}' to='{ROMEO}'>" + "<a>" * 1000,
        Fatal("policy-violation"),
        "XML-06",
    ),
}


@parametrize(FIRST)
async def test_instead_of_a_header(
    shared_node: Causeway, capulet: Peer, romeo: Component, case: Case
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.dial(shared_node.s2s_port)
        await wire.send(case.octets)
        await judge(wire, case.outcome)


@parametrize(PLAIN)
async def test_in_plaintext(
    shared_node: Causeway, capulet: Peer, romeo: Component, case: Case
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.dial(shared_node.s2s_port)
        await wire.send(capulet.header())
        await wire.until("</stream:features>")
        await wire.send(case.octets)
        await judge(wire, case.outcome)


@parametrize(SECURE)
async def test_before_proof(
    shared_node: Causeway, capulet: Peer, romeo: Component, case: Case
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.secured(shared_node.s2s_port)
        await wire.send(case.octets)
        await judge(wire, case.outcome)


@parametrize(OPEN)
async def test_on_an_open_stream(
    shared_node: Causeway, capulet: Peer, romeo: Component, case: Case
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.authenticated(shared_node.s2s_port)
        await wire.until("</stream:features>")
        await wire.send(case.octets)
        await judge(wire, case.outcome)


@pytest.mark.clause("RTE-06", "RTE-09")
async def test_a_stanza_error_leaves_the_stream_as_it_was(
    shared_node: Causeway, capulet: Peer, romeo: Component
) -> None:
    wire = await capulet.authenticated(shared_node.s2s_port)
    await wire.send(f"<iq from='{JULIET}' to='{ROMEO}' type='get'/>")
    await wire.until("</iq>")
    before = romeo.arrived
    await wire.send(message(JULIET, ROMEO, f"n{before}"))
    await romeo.until(lambda: romeo.arrived == before + 1)
    await wire.closed_in_order()


@pytest.mark.clause("STR-14")
@pytest.mark.parametrize(
    ("restarted", "condition"),
    [
        (header(TYBALT, MONTAGUE), "invalid-from"),
        (header(CAPULET, VERONA), "improper-addressing"),
    ],
    ids=["from", "to"],
)
async def test_addresses_that_change_after_authentication(
    shared_node: Causeway, capulet: Peer, romeo: Component, restarted: str, condition: str
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.secured(shared_node.s2s_port)
        await wire.send(auth(CAPULET))
        await wire.until(SUCCESS)
        await wire.send(restarted)
        await judge(wire, Fatal(condition))


@pytest.mark.clause("TLS-05")
async def test_garbage_instead_of_a_tls_handshake(
    shared_node: Causeway, capulet: Peer, romeo: Component
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.dial(shared_node.s2s_port)
        await wire.send(capulet.header())
        await wire.until("</stream:features>")
        await wire.send(STARTTLS)
        await wire.until(PROCEED)
        await wire.send("garbage" * 100)
        assert END not in await wire.ended()


@pytest.mark.clause("DTL-03")
async def test_plaintext_on_the_direct_tls_port(
    shared_node: Causeway, capulet: Peer, romeo: Component
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.dial(shared_node.direct_tls_port)
        await wire.send(capulet.header())
        assert "<" not in await wire.ended()


@parametrize(COMPONENT)
async def test_from_a_component_before_its_handshake(
    shared_node: Causeway, capulet: Peer, romeo: Component, case: Case
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.dial(shared_node.component_port)
        await wire.send(case.octets)
        await judge(wire, case.outcome)


@pytest.mark.clause("CMP-02")
async def test_a_second_component_for_the_same_domain(
    shared_node: Causeway, capulet: Peer, romeo: Component
) -> None:
    async with works_on(shared_node, capulet, romeo):
        with pytest.raises(ConnectionRefusedError, match="<conflict "):
            await Component(MONTAGUE).attach(shared_node.component_port, SECRET)


@parametrize(ATTACHED)
async def test_from_an_attached_component(
    shared_node: Causeway, capulet: Peer, romeo: Component, case: Case
) -> None:
    async with works_on(shared_node, capulet, romeo):
        component = Component(VERONA)
        await component.attach(shared_node.component_port, SECRET)
        assert isinstance(case.octets, str)
        component.write(case.octets)
        await component.gone()
        assert f"<{case.outcome} xmlns='{STREAMS}'/>".encode() in component.raw
        assert component.raw.endswith(b"</stream:error></stream:stream>")
        await component.close()


async def test_a_peer_that_resets_in_every_phase(
    shared_node: Causeway, capulet: Peer, romeo: Component
) -> None:
    async with works_on(shared_node, capulet, romeo):
        port = shared_node.s2s_port
        for opened in (capulet.dial, capulet.secured, capulet.authenticated):
            wire = await opened(port)
            wire.abort()
        wire = await capulet.dial(port)
        await wire.send(capulet.header())
        await wire.until("</stream:features>")
        await wire.send(STARTTLS)
        await wire.until(PROCEED)
        wire.abort()
