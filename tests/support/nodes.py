"""A real node as tests of processes want it: impatient, and judged when it ends.

Owns what must hold of every node whatever a test did to it: it ends by itself with exit code 0, no
process of it crashed, none logged a traceback, and its counters conserve (design 3).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.authority import Authority
from bench.peers.causeway import Causeway
from router.wire.control import BEAT_INTERVAL_S
from tests.support.component import settled

MONTAGUE = "montague.example"
VERONA = "verona.example"
CAPULET = "capulet.example"
TYBALT = "tybalt.example"
SECRET = "wherefore"
OUTCOMES = ("handed", "bounced", "filtered", "unbounceable", "answered")
IMPATIENT: dict[str, Any] = {"close_timeout_s": 1.0, "component_grace_s": 0.5}


def authority_for_tests(directory: Path) -> Authority:
    """An issuer with certificates for the hosted and the remote domains."""
    authority = Authority.make(directory)
    for domain in (MONTAGUE, VERONA, CAPULET, TYBALT):
        authority.issue(domain)
    return authority


def certificate(authority: Authority, domain: str) -> Path:
    """The certificate that the authority has issued for the domain."""
    return authority.directory / f"{domain}.crt"


@asynccontextmanager
async def node(
    directory: Path, authority: Authority, *, killed: int = 0, **settings: Any
) -> AsyncIterator[Causeway]:
    """A node that hosts MONTAGUE and VERONA on two acceptors and two workers.

    `killed`: how many of its processes the test is going to kill.
    """
    limits = {**IMPATIENT, **settings.pop("limits", {})}
    chosen = {
        "certificates": authority.directory,
        "trust_anchors": authority.anchors,
        "components": {MONTAGUE: SECRET, VERONA: SECRET},
        "acceptors": 2,
        "workers": 2,
        **settings,
    }
    chosen["settings"] = {**chosen.get("settings", {}), "limits": limits}
    running = Causeway(directory, **chosen)
    await running.start()
    try:
        yield running
        if not killed and running.is_running:
            await at_rest(running)
    finally:
        status = await running.stop()
    assert status == 0, running.log()
    assert "Traceback" not in running.log(), running.log()
    assert '"exception"' not in running.log(), running.log()
    crashes = [e for e in logged(running, "process.ended") if e["level"] == "warning"]
    assert len(crashes) == killed, crashes


def logged(running: Causeway, event: str) -> Iterator[dict[str, Any]]:
    """The entries of the node's log for this event, in order."""
    for line in running.log().splitlines():
        if line.startswith("{") and (entry := json.loads(line)).get("event") == event:
            yield entry


async def conservation(running: Causeway) -> tuple[float, float, float]:
    """(stanzas in, outcomes, in flight), as of the last beats."""
    metrics = await running.metrics()
    came = sum(
        value
        for (name, labels), value in metrics.items()
        if name == "causeway_stanzas_total" and labels[-1] == "in"
    )
    outcomes = sum(metrics["causeway_stanza_outcomes_total", (each,)] for each in OUTCOMES)
    return came, outcomes, metrics["causeway_stanzas_in_flight", ()]


async def at_rest(running: Causeway) -> None:
    """Wait until nothing is in flight, and the counters of every process add up.

    What has happened before the call is in the counters afterwards.
    """
    await asyncio.sleep(2 * BEAT_INTERVAL_S)  # every process has reported since then

    async def conserved() -> bool:
        came, outcomes, in_flight = await conservation(running)
        return in_flight == 0 and came == outcomes

    try:
        await settled(conserved)
    except TimeoutError:
        raise AssertionError(f"in, outcomes, in flight: {await conservation(running)}") from None
