"""An end-to-end stream on connections as they are: both ends, TLS inside, over loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.authority import Authority
from router.acceptor.certificates.store import CertificateStore
from router.acceptor.certificates.verdict import Verifier
from router.acceptor.connection import Connection
from router.acceptor.tls import TlsSession
from router.xmpp.certificate import Evidence
from router.xmpp.e2e import InitiatorStream, RecipientStream
from router.xmpp.e2e_ends import Ends
from router.xmpp.events import RunReceived, StreamClosed, StreamReady
from router.xmpp.policy import PeerRule
from tests.support.acceptors import HOST, Hub
from tests.support.pump import CAPULET, MONTAGUE, PAIR, ids, policy

STANZAS = 2000
OURS, THEIRS = "relay.montague.example", "relay.capulet.example"


class Judging(Hub):
    """A hub that judges the peer's certificate."""

    def __init__(self, verifier: Verifier) -> None:
        super().__init__()
        self._verifier = verifier

    def evidence(self, connection: Connection, session: TlsSession) -> Evidence:
        return self._verifier.evidence(session.chain)


def end(
    kind: type[InitiatorStream] | type[RecipientStream], ends: Ends, issuer: Authority
) -> tuple[Connection, Judging]:
    """One end, not connected yet, which wants the other's certificate."""
    domain = MONTAGUE if ends.local == OURS else CAPULET
    store = CertificateStore(issuer.directory, [ends.local])
    loop = asyncio.get_running_loop()
    settings = policy(ends.local, domain, rule=PeerRule(require_certificate=True))
    hub = Judging(Verifier(issuer.anchors))
    connection = Connection(
        hub,
        loop,
        kind(settings, ids(), ends, loop.time()),
        number=1,
        direction="out" if kind is InitiatorStream else "in",
        leg="e2e",
        tls_context=lambda: (
            store.client_context(ends.local)
            if kind is InitiatorStream
            else store.starttls_context(ends.local)
        ),
        server_name=THEIRS,
    )
    return connection, hub


@asynccontextmanager
async def joined(a: Connection, b: Connection) -> AsyncIterator[None]:
    """One TCP connection between both."""
    loop = asyncio.get_running_loop()
    with socket.create_server((HOST, 0)) as listening:
        dialled = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
    for connection, end_of in ((b, accepted), (a, dialled)):
        end_of.setblocking(False)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=end_of)
        connection.connected(transport)
    assert isinstance(a.core, InitiatorStream)
    a.act(a.core.open())
    try:
        yield
    finally:
        a.abort()
        b.abort()


def received(hub: Hub) -> bytes:
    return b"".join(run.octets for run in hub.events(RunReceived))  # type: ignore[attr-defined]


@pytest.mark.clause("E2E-01", "E2E-02", "E2E-03", "E2E-05")
async def test_a_lane_between_two_connections(tmp_path_factory: pytest.TempPathFactory) -> None:
    issuer = Authority.make(tmp_path_factory.mktemp("lane"))
    for domain in (OURS, THEIRS):
        issuer.issue(domain)
    a, hub_a = end(InitiatorStream, Ends(OURS, THEIRS, frozenset({PAIR})), issuer)
    b, hub_b = end(RecipientStream, Ends(THEIRS, OURS, frozenset({PAIR.inverse()})), issuer)
    there = b"".join(
        b"<message id='%d' from='a@montague.example' to='b@capulet.example'/>" % number
        for number in range(STANZAS)
    )
    back = there.replace(b"a@montague", b"x@montague").replace(b"b@capulet", b"a@montague")
    back = back.replace(b"x@montague", b"b@capulet")
    async with joined(a, b):
        for hub in (hub_a, hub_b):
            await hub.until(lambda hub=hub: bool(hub.events(StreamReady)))  # type: ignore[misc]
        assert hub_a.events(StreamReady) == [StreamReady(THEIRS, True, True)]
        assert hub_b.events(StreamReady) == [StreamReady(OURS, True, True)]
        a.send_run(PAIR, there, STANZAS)
        b.send_run(PAIR.inverse(), back, STANZAS)
        await hub_b.until(lambda: received(hub_b) == there)
        await hub_a.until(lambda: received(hub_a) == back)
        a.close()
        for hub in (hub_a, hub_b):
            await hub.until(lambda hub=hub: "lost" in hub.names())  # type: ignore[misc]
    assert hub_a.events(StreamClosed) == [StreamClosed(None, False)]
    assert hub_b.events(StreamClosed) == [StreamClosed(None, True)]
