"""The accepting side: it proves whoever dials and counts what comes, in one tally or the next."""

import asyncio
from pathlib import Path

import pytest

from bench.accepting import HOST, Accepting, Bare, Listener, bare, server_context
from bench.authority import Authority
from bench.remote import MARK, Remote, Tally, chat, client_context
from router.xmpp.pair import DomainPair
from tests.support.nodes import CAPULET, MONTAGUE, certificate

PATIENCE_S = 10


@pytest.fixture
def presented(issuer: Authority) -> tuple[str, str]:
    crt: Path = certificate(issuer, CAPULET)
    return str(crt), str(crt.with_suffix(".key"))


async def test_a_server_that_dials_is_let_in_and_counted(presented: tuple[str, str]) -> None:
    accepting = Accepting({MONTAGUE: server_context(*presented)})
    async with accepting.listener, asyncio.timeout(PATIENCE_S):
        remote = Remote(DomainPair(CAPULET, MONTAGUE), client_context(*presented))
        await remote.connect(HOST, accepting.listener.port)
        assert remote.closed is None
        first, second = Tally(), Tally()
        for tally in (first, second):
            accepting.count_in(tally)
            tally.expect(400)
            await remote.send(chat(CAPULET, MONTAGUE), 400)
            await tally.complete.wait()
        assert (first.arrived, second.arrived) == (400, 400)
        (stream,) = accepting.streams
        await remote.leave(PATIENCE_S)
        await stream.lost.wait()
        assert accepting.streams == set()


async def test_stanzas_right_behind_the_header_are_counted_once(
    presented: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    accepting = Accepting({MONTAGUE: server_context(*presented)})
    async with accepting.listener, asyncio.timeout(PATIENCE_S):
        remote = Remote(DomainPair(CAPULET, MONTAGUE), client_context(*presented))
        await remote.connect(HOST, accepting.listener.port)
        (stream,) = accepting.streams
        stream.ready.clear()  # as if the core still read
        accepting.tally.expect(3)
        stanza = chat(CAPULET, MONTAGUE)
        monkeypatch.setattr(stream, "_act", lambda events: stream.ready.set())
        whole = stanza * 3
        stream.data_received(whole[:-4])
        assert accepting.tally.arrived == 2
        stream.data_received(whole[-4:])
        assert accepting.tally.arrived == 3
        await remote.leave(PATIENCE_S)


@pytest.mark.parametrize("encrypted", [True, False], ids=["TLS", "plain"])
async def test_bare_ends_carry_octets_and_nothing_else(
    presented: tuple[str, str], encrypted: bool
) -> None:
    context = server_context(*presented) if encrypted else None
    here, there = Tally(), Tally()
    taken: asyncio.Queue[Bare] = asyncio.Queue()
    listener = Listener(
        lambda transport: taken.put_nowait(Bare(transport, context, server_side=True, tally=there))
    )
    async with listener, asyncio.timeout(PATIENCE_S):
        one = await bare(listener.port, client_context(*presented) if encrypted else None, here)
        other = await taken.get()
        await other.ready.wait()
        for end, tally in ((one, there), (other, here)):
            tally.expect(2)
            end.write(MARK * 2)
            await tally.complete.wait()
            assert tally.arrived == 2
        await one.leave(PATIENCE_S)
        await other.lost.wait()


async def test_a_relay_without_tls_is_an_error(presented: tuple[str, str]) -> None:
    async with Listener(lambda transport: transport.close()) as listener:
        with pytest.raises(ConnectionError):
            await bare(listener.port, client_context(*presented), Tally())
