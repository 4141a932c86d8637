"""Streams that prove a domain and fall silent, against the server that says yes to every key."""

import asyncio
from pathlib import Path

import pytest

from bench.idle.authoritative import HOST, Authoritative
from bench.idle.caller import Caller, CallError, client_context


def caller() -> Caller:
    return Caller("capulet.lit", "montague.lit", client_context(), "dialback", bidi=True)


async def test_a_stream_from_its_connection_to_its_end(tmp_path: Path) -> None:
    async with Authoritative(tmp_path) as server:
        calls = [caller() for _ in range(3)]
        await asyncio.gather(*(each.connect(HOST, server.port) for each in calls))
        assert all(each.is_open for each in calls)
        assert server.accepted == 3
        await calls[0].close()
        assert [each.is_open for each in calls] == [False, True, True]
        await calls[0].close()


async def test_a_stream_that_the_server_ends_is_not_open(tmp_path: Path) -> None:
    async with Authoritative(tmp_path) as server:
        call = caller()
        await call.connect(HOST, server.port)
    await call.close()
    assert not call.is_open


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"<stream:stream><stream:error><host-unknown/></stream:error>", "<host-unknown/>"),
        (b"", "the server ended the connection"),
    ],
)
async def test_what_comes_instead_of_a_proof_is_told(said: bytes, told: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"version=")
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(refuse, HOST, 0)
    async with server:
        with pytest.raises(CallError, match=f"^capulet.lit: .*{told}"):
            await caller().connect(HOST, server.sockets[0].getsockname()[1])
