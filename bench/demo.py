"""The demo: three acts, each with a Causeway, another server, and a slixmpp component on both.

Owns what is started, sent and measured, and that all of it is gone at the end. How it is shown is
`bench.demo_screen`. Called by `causeway demo`.
"""

import asyncio
import signal
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop
from slixmpp.exceptions import IqError, IqTimeout

from bench.authority import Authority
from bench.demo_screen import Act, Outcome, Screen
from bench.peers import prosody
from bench.peers.causeway import HOST, Causeway, Metrics
from bench.peers.daemon import DaemonError, free_port
from bench.peers.prosody import Prosody
from bench.traffic import Correspondent, Route, attached, exchange
from router.wire.control import BEAT_INTERVAL_S

MONTAGUE: Final = "montague.lit"
CAPULET: Final = "capulet.lit"
SECRET: Final = "wherefore"
PATIENCE_S: Final = 10
SHORT_ACT: Final = 100
EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Scenery:
    """What all acts share: a directory, and two authorities of which only one issued anything."""

    directory: Path
    authority: Authority
    strangers: Authority

    @classmethod
    def make(cls, directory: Path) -> "Scenery":
        """Make both, and a certificate for each domain."""
        authority = Authority.make(directory / "authority")
        for domain in (MONTAGUE, CAPULET):
            authority.issue(domain)
        return cls(directory, authority, Authority.make(directory / "strangers"))

    def new_directory(self) -> Path:
        """For one server."""
        return Path(tempfile.mkdtemp(dir=self.directory))


def acts(amount: int) -> tuple[Act, ...]:
    """The first with everything; the others, shorter, for comparison."""
    short = min(amount, SHORT_ACT)
    return (
        Act("EXTERNAL, bidi", "Certificates that both trust, both ways on one connection", amount),
        Act("EXTERNAL, no bidi", "The same without bidi", short, bidi=False),
        Act("dialback, bidi", "Certificates that neither trusts: dialback", short, trusted=False),
    )


def run(amount: int, screen: Screen) -> int:
    """Play all acts, `amount` messages and pings each way; 0 only when no stanza is missing."""
    try:
        return uvloop.run(_run(amount, screen))
    except (KeyboardInterrupt, asyncio.CancelledError):
        screen.failure("interrupted; everything was stopped")
        return EXIT_INTERRUPTED
    except DaemonError as error:
        screen.failure(str(error))
        return EXIT_FAILED


async def _run(amount: int, screen: Screen) -> int:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):  # asyncio itself does this for SIGINT
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with tempfile.TemporaryDirectory(prefix="causeway-demo-") as name:
        screen.opening(MONTAGUE, CAPULET, _peer_name(), prosody.installed())
        scenery = Scenery.make(Path(name))
        outcomes = []
        for ordinal, act in enumerate(acts(amount), 1):
            screen.act(ordinal, act)
            outcomes.append(await play(act, scenery, screen))
            screen.streams(outcomes[-1])
    screen.summary(outcomes)
    return exit_code(outcomes)


def exit_code(outcomes: list[Outcome]) -> int:
    """0 when every stanza of every act arrived once and in order."""
    flawless = all(outcome.exchange.findings.flawless for outcome in outcomes)
    return 0 if flawless else EXIT_FAILED


async def play(act: Act, scenery: Scenery, screen: Screen) -> Outcome:
    """Start both servers, send, measure, stop both. Raises DaemonError."""
    port = free_port()
    settings: dict[str, Any] = {
        "certificates": scenery.authority.directory,
        "trust_anchors": (scenery.authority if act.trusted else scenery.strangers).anchors,
        "bidi": act.bidi,
    }
    causeway = Causeway(
        scenery.new_directory(),
        components={MONTAGUE: SECRET},
        routes={CAPULET: (HOST, port)},
        **settings,
    )
    async with AsyncExitStack() as running:
        with screen.step(f"start Causeway for {MONTAGUE}"):
            await running.enter_async_context(causeway)
        with screen.step(f"start {_peer_name()} for {CAPULET}"):
            peer = _peer(
                scenery.new_directory(),
                components={CAPULET: SECRET},
                routes={MONTAGUE: (HOST, causeway.s2s_port)},
                s2s_port=port,
                **settings,
            )
            await running.enter_async_context(peer)
        with screen.step("attach a slixmpp component to each"):
            montague, capulet = [
                await running.enter_async_context(attached(domain, SECRET, server.component_port))
                for domain, server in ((MONTAGUE, causeway), (CAPULET, peer))
            ]
        # From one side alone: when both dial at the same moment, both connections stand.
        with screen.step("first ping: connect, encrypt, prove, deliver, answer"):
            await _first_ping(montague, causeway)
        with screen.traffic(act) as progress:
            exchanged = await exchange(
                montague,
                capulet,
                messages=act.amount,
                pings=act.amount,
                patience_s=PATIENCE_S,
                progress=progress,
            )
        streams = [row for row in await causeway.streams() if row["leg"] == "s2s"]
        await asyncio.sleep(2 * BEAT_INTERVAL_S)
        connections = _server_connections(await causeway.metrics())
        with screen.step("drain and stop"):
            await running.aclose()
    if code := await causeway.stop():
        raise DaemonError(f"Causeway ended with exit code {code}\n{causeway.log()}")
    return Outcome(act, exchanged, tuple(streams), connections)


async def _first_ping(montague: Correspondent, causeway: Causeway) -> None:
    try:
        await montague.ping(Route(MONTAGUE, CAPULET), PATIENCE_S)
    except IqError as error:
        reason = f"{error.condition} {error.text}"
    except IqTimeout:
        reason = f"no answer in {PATIENCE_S} s"
    else:
        return
    raise DaemonError(f"the first ping to {CAPULET}: {reason}\n{causeway.log()}")


def _server_connections(metrics: Metrics) -> int:
    """Opened by either side since the start, without the component's."""
    both = sum(metrics["causeway_tcp_connections_total", (way,)] for way in ("in", "out"))
    return int(both - metrics["causeway_s2s_authenticated_total", ("in", "component")])


def _peer_name() -> str:
    return "Prosody" if prosody.installed() else "a second Causeway"


def _peer(directory: Path, **settings: Any) -> Prosody | Causeway:
    if not prosody.installed():
        return Causeway(directory, **settings)
    # Secure here means: a certificate that is not trusted rules dialback out.
    return Prosody(directory, **settings, s2s_secure_auth=False, log_level="info")
