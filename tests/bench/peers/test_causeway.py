"""A real Causeway through our fixture: what tests of whole processes may then rely on."""

import os
import signal
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.authority import Authority
from bench.peers.causeway import HOST, Causeway, merged, toml
from bench.peers.daemon import DaemonError
from bench.traffic import attached
from router.supervisor.run_dir import admin_socket

MONTAGUE = "montague.example"
SECRET = "wherefore"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    authority = Authority.make(tmp_path_factory.mktemp("certificates"))
    authority.issue(MONTAGUE)
    return {
        "certificates": authority.directory,
        "trust_anchors": authority.anchors,
        "components": {MONTAGUE: SECRET},
    }


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.processes
async def test_it_serves_inside_its_block_and_nothing_is_left_after(
    settings: Mapping[str, Any], tmp_path: Path
) -> None:
    async with Causeway(tmp_path, **settings, acceptors=2) as causeway:
        ports = (
            causeway.s2s_port,
            causeway.direct_tls_port,
            causeway.component_port,
            causeway.http_port,
        )
        assert len({*ports}) == 4
        assert await causeway.streams() == []
        for port in ports:
            socket.create_connection((HOST, port)).close()
        children = causeway.children()
        # One worker, and the spare that the supervisor keeps.
        assert sorted(children) == ["a0.1", "a1.1", "w0.1", "w1.1"]
        assert all(map(alive, children.values()))
        pid, run_dir = causeway.pid, causeway.run_dir
        assert admin_socket(run_dir).is_socket()
    assert await causeway.stop() == 0
    assert not any(map(alive, (pid, *children.values())))
    assert not run_dir.exists()
    assert "drain.ended" in causeway.log()


@pytest.mark.processes
async def test_what_it_counts_and_holds_can_be_asked(
    settings: Mapping[str, Any], tmp_path: Path
) -> None:
    async with Causeway(tmp_path, **settings) as causeway:
        async with attached(MONTAGUE, SECRET, causeway.component_port):
            [stream] = await causeway.streams()
            assert (stream["leg"], stream["local"]) == ("component", MONTAGUE)
        metrics = await causeway.metrics()
    assert metrics["causeway_tcp_connections_total", ("out",)] == 0
    assert metrics["causeway_tls_handshakes_total", ("server", "TLSv1.3", "ok")] == 0
    assert ("causeway_stanzas_in_flight", ()) in metrics


@pytest.mark.processes
async def test_the_orphans_of_a_killed_supervisor_end_with_the_block(
    settings: Mapping[str, Any], tmp_path: Path
) -> None:
    async with Causeway(tmp_path, **settings) as causeway:
        os.kill(causeway.pid, signal.SIGKILL)
        children = causeway.children()
        assert len(children) == 3
        assert await causeway.stop() == -signal.SIGKILL
    assert causeway.children() == {}


@pytest.mark.processes
async def test_a_bad_setting_is_shown(settings: Mapping[str, Any], tmp_path: Path) -> None:
    causeway = Causeway(tmp_path, **settings, settings={"limits": {"max_depth": 1}})
    with pytest.raises(DaemonError, match=r"status 2 .*\n.*max_depth"):
        await causeway.start()
    assert not causeway.run_dir.exists()


@pytest.mark.processes
async def test_it_starts_again_with_new_ports(settings: Mapping[str, Any], tmp_path: Path) -> None:
    causeway = Causeway(tmp_path, **settings)
    async with causeway:
        first = causeway.pid
    async with causeway:
        assert causeway.pid != first
        socket.create_connection((HOST, causeway.s2s_port)).close()
    assert await causeway.stop() == 0


def test_what_is_written_reads_back_the_same() -> None:
    tables = {
        "peers": {"*": {"bidi": True}, "cåpulet.example": {"target": '[::1]:5269 "\\'}},
        "limits": {"max_depth": 64, "backlog_s": 0.5},
        "dns": {"resolvers": ["127.0.0.1:53"]},
    }
    assert tomllib.loads(toml(tables)) == tables


def test_what_is_not_in_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="limits is not a table"):
        toml({"limits": 3})


def test_laying_settings_over_others_goes_entry_by_entry() -> None:
    base = {"peers": {"*": {"bidi": True}, "a": {"target": "x"}}, "tls": {"required": True}}
    over = {"peers": {"a": {"target_tls": "direct"}}, "limits": {"max_depth": 9}}
    assert merged(base, over) == {
        "peers": {"*": {"bidi": True}, "a": {"target": "x", "target_tls": "direct"}},
        "tls": {"required": True},
        "limits": {"max_depth": 9},
    }
