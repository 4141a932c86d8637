"""Causeway in the place of a Prosody: no difference in outcome, and no more connections."""

import re
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from bench.authority import Authority
from bench.peers.daemon import free_port
from bench.peers.prosody import HOST, Prosody
from tests.conftest import StartEjabberd, StartNode, StartProsody
from tests.support.component import Component, attached
from tests.support.nodes import SECRET, at_rest
from tests.support.outcomes import (
    CELLS,
    DELIVERED,
    Cell,
    domains,
    fates,
    issue_all,
    proofs,
)

SERVERS = ("prosody", "causeway", "counterpart")
TIMEOUT = "remote-server-timeout"

# With dialback off and a certificate that proves nothing, Prosody still takes the counterpart's
# word on a stream that it opened itself, by bidi. Causeway takes certificates alone then.
STRICTER = [cell for cell in CELLS if cell.counterpart != "valid" and cell.dials == "subject"]


@pytest.fixture(scope="module")
def bad_and_good(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Certificates for all three servers."""
    authority = Authority.make(tmp_path_factory.mktemp("bad-and-good"))
    for server in SERVERS:
        issue_all(authority, server)
    return authority


@pytest.mark.clause("BIDI-13", "BIDI-21", "SAS-01", "SAS-02", "DBK-09", "RTE-10")
@pytest.mark.parametrize(
    ("counterpart", "secure", "dialback"),
    [
        ("prosody", True, True),
        ("prosody", True, False),
        ("prosody", False, True),
        ("prosody", False, False),
        ("ejabberd", True, False),
        ("ejabberd", False, True),
    ],
)
async def test_as_between_two_prosodys(
    start_node: StartNode,
    start_prosody: StartProsody,
    start_ejabberd: StartEjabberd,
    bad_and_good: Authority,
    counterpart: str,
    secure: bool,
    dialback: bool,
) -> None:
    """Both servers want certificates alone (`secure`) or not, and do dialback or not.

    ejabberd has one switch for the two: with dialback, no certificate is needed.
    """
    trust = {"certificates": bad_and_good.directory, "trust_anchors": bad_and_good.anchors}
    ports = {server: free_port() for server in ("prosody", "counterpart")}
    to_counterpart = dict.fromkeys(domains("counterpart"), (HOST, ports["counterpart"]))
    node = await start_node(
        **trust,
        components=dict.fromkeys(domains("causeway"), SECRET),
        routes=to_counterpart,
        dialback=dialback,
        limits={"handshake_timeout_s": 5.0},
        settings={"peers": {"*": {"require": "certificate" if secure else "dialback"}}},
    )
    prosody = await start_prosody(
        **trust,
        components=dict.fromkeys(domains("prosody"), SECRET),
        routes=to_counterpart,
        s2s_port=ports["prosody"],
        dialback=dialback,
        s2s_secure_auth=secure,
        options={"s2s_timeout": 5},
    )
    to_subjects = {
        **dict.fromkeys(domains("causeway"), (HOST, node.s2s_port)),
        **dict.fromkeys(domains("prosody"), (HOST, ports["prosody"])),
    }
    common: dict[str, Any] = {
        **trust,
        "components": dict.fromkeys(domains("counterpart"), SECRET),
        "routes": to_subjects,
        "s2s_port": ports["counterpart"],
        "dialback": dialback,
    }
    only_certificates = counterpart == "prosody" and not secure and not dialback
    if counterpart == "prosody":
        server = await start_prosody(**common, s2s_secure_auth=secure, options={"s2s_timeout": 5})
    else:
        server = await start_ejabberd(
            **common, log_level="info", options={"negotiation_timeout": "5 seconds"}
        )
    places = {
        "causeway": node.component_port,
        "prosody": prosody.component_port,
        "counterpart": server.component_port,
    }
    async with AsyncExitStack() as stack:
        ends: dict[str, Component] = {}
        for name, port in places.items():
            for each in domains(name):
                ends[each] = await stack.enter_async_context(attached(each, SECRET, port))
        theirs = await fates("prosody", ends)
        ours = await fates("causeway", ends)
    await at_rest(node)
    metrics = await node.metrics()
    for stopped in (server, prosody):
        await stopped.stop()
    assert theirs[Cell("valid", "valid", "subject")] == (DELIVERED, DELIVERED)
    assert ours == {
        cell: fate._replace(back=TIMEOUT) if cell in STRICTER and only_certificates else fate
        for cell, fate in theirs.items()
    }
    here, there = proofs("causeway", server), proofs("prosody", server)
    assert [cell for cell in CELLS if not Counter(here[cell]) <= Counter(there[cell])] == []
    assert here[Cell("valid", "valid", "subject")] != []
    in_all = sum(metrics["causeway_tcp_connections_total", (way,)] for way in ("in", "out"))
    refused = len(STRICTER) if only_certificates else 0  # where the counterpart had to dial
    assert in_all - len(domains("causeway")) <= connections(prosody) + refused


def connections(server: Prosody) -> int:
    """TCP connections between servers, either way."""
    lines = re.findall(r"Incoming s2s connection$|Successfully connected$", server.log(), re.M)
    return len(lines)
