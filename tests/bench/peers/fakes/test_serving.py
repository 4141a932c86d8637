"""`causeway bench fake`: lists, starts, prints what goes over its streams, and ends in order."""

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process

import pytest
from typer.testing import CliRunner

from bench.authority import Authority
from bench.commands import app
from bench.peers.fakes.fake import HOST, Fake
from bench.peers.fakes.profiles import PROFILES
from bench.peers.fakes.serving import address, route
from tests.bench.peers.fakes.conftest import CAPULET, MONTAGUE, certificate

COMMAND = ("-m", "router", "bench", "fake")
LIMIT_S = 20


def test_it_lists_what_it_can_play_a_line_each() -> None:
    result = CliRunner().invoke(app, ["fake", "--list"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(PROFILES)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nobody"],
        ["metre"],
        ["metre", "--domain", "a.example"],
        ["metre", "--domain", "a.example", "--certificate", "a.crt", "--listen", "5269"],
        ["metre", "--domain", "a.example", "--certificate", "a.crt", "--peer", "b.example"],
    ],
)
def test_what_is_missing_or_wrong_is_said(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["fake", *arguments])
    assert result.exit_code == 2
    assert "needed" in result.output or "not " in result.output


def test_addresses() -> None:
    assert address("127.0.0.1:5269") == ("127.0.0.1", 5269)
    assert address("[::1]:0") == ("::1", 0)
    assert route("A.example=h:1") == ("a.example", ("h", 1))
    for wrong in ("", "h", "h:", ":1", "h:x", "h:65536"):
        with pytest.raises(ValueError, match="not HOST:PORT"):
            address(wrong)


@pytest.mark.processes
async def test_it_runs_until_it_is_told_to_stop(authority: Authority) -> None:
    """Another fake sends it a message; its transcript, escaped, has all of that."""
    async with Fake(
        "plain",
        MONTAGUE,
        certificate=certificate(authority, MONTAGUE),
        trust_anchors=authority.anchors,
    ) as other:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *COMMAND,
            "metre",
            *("--domain", CAPULET, "--certificate", str(certificate(authority, CAPULET))),
            *("--trust", str(authority.anchors), "--peer", f"{MONTAGUE}={HOST}:{other.port}"),
            *("--send", f"<message from='a@{CAPULET}' to='echo@{MONTAGUE}' id='m'/>"),
            "--transcript",
            stdout=PIPE,
        )
        try:
            first = await line_with(process, "listens on")
            found = re.fullmatch(r"metre for capulet.example .* port (\d+)\n", first)
            assert found is not None
            sent = await line_with(process, "id='m'")
            assert re.match(r"#1 ours   >> <message ", sent)
            await line_with(process, '<< <message from="echo@')
            assert [stanza.get("id") for stanza in other.stanzas] == ["m"]
            _, writer = await asyncio.open_connection(HOST, int(found[1]))
            writer.write(b"<stream:stream\nxmlns:stream='x'>")
            await line_with(process, "<stream:stream\\x0axmlns")
            writer.close()
            await writer.wait_closed()
        finally:
            process.send_signal(signal.SIGTERM)
            status = await process.wait()
        assert status == 0


async def line_with(process: Process, text: str) -> str:
    """The next line of its output that contains this."""
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        async for line in process.stdout:
            if text in line.decode():
                return line.decode()
    raise AssertionError(f"ended before {text!r}")
