"""`causeway run` with a config file that has mistakes: all of them at once, and exit code 2."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from bench.authority import Authority
from bench.peers.causeway import TREE
from tests.support.nodes import MONTAGUE

MISTAKES = {
    "processes.acceptors": "acceptors = 0",
    "limits.max_stanza_bytes": "max_stanza_bytes = 'big'",
    "limits.no_such_limit": "no_such_limit = 1",
    "peers.capulet.example.require": "require = 'a promise'",
    "peers.capulet.example.target": "target = 'nowhere'",
}
CONFIG = """
[listen]
s2s = ["127.0.0.1:0"]
components = ["127.0.0.1:0"]
http = "127.0.0.1:0"
[processes]
{processes.acceptors}
[tls]
certificates = "{certificates}"
[limits]
{limits.max_stanza_bytes}
{limits.no_such_limit}
[domains."montague.example"]
attach = "component"
secret = "wherefore"
[peers."capulet.example"]
{peers.capulet.example.require}
{peers.capulet.example.target}
"""


async def run(config: Path) -> tuple[int | None, str]:
    """Exit code and output of `causeway run`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router", "run", "--config", str(config)),
        env={**os.environ, "PYTHONPATH": str(TREE)},
        cwd=config.parent,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_every_mistake_is_listed_with_file_and_key(tmp_path: Path, issuer: Authority) -> None:
    text = CONFIG.replace("{certificates}", str(issuer.directory))
    for key, line in MISTAKES.items():
        text = text.replace(f"{{{key}}}", line)
    config = tmp_path / "causeway.toml"
    config.touch(0o600)
    config.write_text(text)
    status, output = await run(config)
    assert status == 2
    for key in MISTAKES:
        lines = [line for line in output.splitlines() if key in line.replace('"', "")]
        assert lines, f"{key} is not in {output}"
        assert all("causeway.toml" in line for line in lines)
    assert "Traceback" not in output
    assert "wherefore" not in output


@pytest.mark.parametrize("text", [None, "[listen\n", "\xff\xfe"], ids=["missing", "TOML", "binary"])
async def test_a_file_that_cannot_be_read(tmp_path: Path, text: str | None) -> None:
    config = tmp_path / "causeway.toml"
    if text is not None:
        config.write_bytes(text.encode("latin1"))
    status, output = await run(config)
    assert status == 2
    assert "causeway.toml" in output
    assert "Traceback" not in output


async def test_a_hosted_domain_without_a_certificate(tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    config = tmp_path / "causeway.toml"
    config.touch(0o600)
    config.write_text(
        f'[domains."{MONTAGUE}"]\nattach = "component"\nsecret = "wherefore"\n'
        '[tls]\ncertificates = "certs"\n'
    )
    status, output = await run(config)
    assert status == 2
    assert MONTAGUE in output
    assert "Traceback" not in output
