"""Bad input on the wire, in every phase: the error the ledger names, and a node that works on.

One node serves all of it; its fixture fails when a process crashed or logged a traceback. The
tables are `tests.support.hostile`'s; in memory, `test_hostile` crosses them with more phases.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from bench.authority import Authority
from bench.peers.causeway import Causeway
from router.xmpp.names import STREAM_ERRORS
from tests.support import hostile, hostile_open
from tests.support.component import Component, attached
from tests.support.hostile import JULIET, ROMEO, Drops, Fatal, Outcome, Row, Table
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, TYBALT, VERONA, certificate
from tests.support.scripted_peer import (
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

COMPONENT_HEADER = header(None, VERONA, xmlns="jabber:component:accept")


def parametrize(*tables: Table) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "row",
        [
            pytest.param(row, id=name, marks=pytest.mark.clause(row.clause))
            for table in tables
            for name, row in table.items()
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


async def judge(wire: Wire, outcome: Outcome) -> None:
    """Hold what has come since the mark against the outcome."""
    if isinstance(outcome, Fatal):
        last = await wire.ended()
        assert f"<stream:error><{outcome} xmlns='{STREAM_ERRORS}'/>" in last
        assert last.endswith("</stream:error></stream:stream>")
        assert wire.received.startswith("<?xml version='1.0'?><stream:stream ")
    elif isinstance(outcome, Drops):
        assert await wire.ended() == outcome
    else:
        if outcome:
            await wire.until(outcome)
        rest = await wire.closed_in_order()
        assert rest.endswith(END) and "<stream:error>" not in rest
        assert outcome or rest == END, "dropped without a word"


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


@parametrize(hostile.HEADERS, hostile.ADDRESSED, hostile.HOSTED_SENDER)
async def test_instead_of_a_header(
    shared_node: Causeway, capulet: Peer, romeo: Component, row: Row
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.dial(shared_node.s2s_port)
        await wire.send(row.octets)
        await judge(wire, row.outcome)


@parametrize(hostile.XML, hostile.UNPROVED, hostile.PLAIN)
async def test_in_plaintext(
    shared_node: Causeway, capulet: Peer, romeo: Component, row: Row
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.dial(shared_node.s2s_port)
        await wire.send(capulet.header())
        await wire.until("</stream:features>")
        await wire.send(row.octets)
        await judge(wire, row.outcome)


@parametrize(hostile.UNPROVED, hostile.IGNORED, hostile.KEYS, hostile.SASL)
async def test_before_proof(
    shared_node: Causeway, capulet: Peer, romeo: Component, row: Row
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.secured(shared_node.s2s_port)
        await wire.send(row.octets)
        await judge(wire, row.outcome)


@parametrize(
    hostile.STANZAS,
    hostile_open.ADDRESSES,
    hostile_open.REFUSED,
    hostile_open.OPEN,
    hostile_open.ERRORS,
)
async def test_on_an_open_stream(
    shared_node: Causeway, capulet: Peer, romeo: Component, row: Row
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.authenticated(shared_node.s2s_port)
        await wire.until("</stream:features>")
        await wire.send(row.octets)
        await judge(wire, row.outcome)


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


@parametrize(hostile_open.CALLED)
async def test_instead_of_a_components_header(
    shared_node: Causeway, capulet: Peer, romeo: Component, row: Row
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.dial(shared_node.component_port)
        await wire.send(row.octets)
        await judge(wire, row.outcome)


@parametrize(hostile_open.SHAKING)
async def test_from_a_component_before_its_handshake(
    shared_node: Causeway, capulet: Peer, romeo: Component, row: Row
) -> None:
    async with works_on(shared_node, capulet, romeo):
        wire = await capulet.dial(shared_node.component_port)
        await wire.send(COMPONENT_HEADER)
        await wire.until("<stream:stream")
        await wire.send(row.octets)
        await judge(wire, row.outcome)


@pytest.mark.clause("CMP-02")
async def test_a_second_component_for_the_same_domain(
    shared_node: Causeway, capulet: Peer, romeo: Component
) -> None:
    async with works_on(shared_node, capulet, romeo):
        with pytest.raises(ConnectionRefusedError, match="<conflict "):
            await Component(MONTAGUE).attach(shared_node.component_port, SECRET)


@parametrize({k: v for k, v in hostile_open.ATTACHED.items() if isinstance(v.outcome, Fatal)})
async def test_from_an_attached_component(
    shared_node: Causeway, capulet: Peer, romeo: Component, row: Row
) -> None:
    async with works_on(shared_node, capulet, romeo):
        component = Component(VERONA)
        await component.attach(shared_node.component_port, SECRET)
        assert isinstance(row.octets, str)
        component.write(row.octets)
        await component.gone()
        assert f"<{row.outcome} xmlns='{STREAM_ERRORS}'/>".encode() in component.raw
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
