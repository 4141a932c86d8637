"""A dialer with a hub and a resolver that only write down, and servers to dial, good and bad."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property

from router.acceptor.certificates.contexts import client_context
from router.acceptor.connection import Connection
from router.acceptor.dialling.attempts import Approach
from router.acceptor.dialling.dialer import Dialer
from router.acceptor.dialling.dns import Target, Unresolvable
from router.acceptor.dialling.findings import Findings
from router.acceptor.dialling.places import Places
from router.acceptor.dialling.sharing import Sharing
from router.acceptor.history import History
from router.config import Config, Dial
from router.peer_memory import PeerMemory
from router.wire.frames import DialFailed, Frame, Verified, VerifyKey
from router.wire.shard import SHARDS
from router.xmpp.events import Event, KeyAnswered, PairAuthorised, PairRefused, StreamClosed
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from tests.support.acceptors import HOST, Hub
from tests.support.nodes import CAPULET, MONTAGUE, VERONA
from tests.support.pump import ids, policy
from tests.support.scripted_peer import (
    DIALBACK_FEATURE,
    END,
    PROCEED,
    STARTTLS,
    Peer,
    Wire,
    features,
    header,
)

PAIR = DomainPair(MONTAGUE, CAPULET)
ALL = frozenset(range(SHARDS))
CLOSED_PORT = 1
"""Nobody listens there."""


Trouble = Callable[[Peer], Awaitable[None]]
"""What a server does to who connects to it."""


@dataclass
class Resolver:
    """What DNS would say."""

    targets_of: dict[str, tuple[Target, ...]]
    addresses_of: dict[str, tuple[str, ...]]

    async def targets(self, domain: str) -> tuple[Target, ...]:
        if domain not in self.targets_of:
            raise Unresolvable("remote-server-not-found", f"{domain} has no address")
        return self.targets_of[domain]

    async def addresses(self, host: str) -> tuple[str, ...]:
        if host not in self.addresses_of:
            raise Unresolvable("remote-server-timeout", f"no answer about {host}")
        return self.addresses_of[host]


@dataclass
class Shown:
    """Our certificates: which of our domains have one, and which pairs of names share one."""

    domains: set[str] = field(default_factory=set)
    shared: set[tuple[str, str]] = field(default_factory=set)

    def has_certificate(self, domain: str) -> bool:
        return domain in self.domains

    def shows(self, domain: str, name: str) -> bool:
        return domain == name or (domain, name) in self.shared


class Caller(Hub):
    """A dialer, and the acceptor around it as far as a dialer needs one."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, Frame]] = []
        self.answered: list[tuple[str, Frame]] = []
        self.connections: list[Connection] = []
        self.approaches: list[Approach] = []
        self.has_certificate = False
        self.config = Config(dial=Dial(allow_private_addresses=True))
        self.resolver = Resolver({}, {"localhost": (HOST,)})
        self.policy = policy(MONTAGUE, VERONA, tls_required=False)
        self.history = History(lambda: 0.0)
        self.certificates = Shown()
        self._dialer: Dialer | None = None

    @property
    def dialer(self) -> Dialer:
        """Made at its first use, so that a test may change the configuration before."""
        if self._dialer is None:
            self._dialer = Dialer(
                asyncio.get_running_loop(),
                self.config,
                Places(self.config, self.resolver),  # type: ignore[arg-type]
                Sharing(lambda _, __: self.connections, self.certificates, self.memory),  # type: ignore[arg-type]
                Findings(self.memory),
                self.history,
                new_connection=self._connection,
                to_shard=self._tell,
                to_acceptor=self._answer,
            )
        return self._dialer

    @cached_property
    def memory(self) -> PeerMemory:
        """What is known of peers; by the configuration as it is at the first use."""
        return PeerMemory(self.config, lambda: 0.0, lambda learned: self.changed())

    def targets(self, *ports: int, domain: str = CAPULET) -> None:
        """Where the domain is, by DNS."""
        self.resolver.targets_of[domain] = tuple(
            Target("localhost", port, "starttls") for port in ports
        )

    def _connection(self, pair: DomainPair, target: Target, approach: Approach) -> Connection:
        loop = asyncio.get_running_loop()
        self.approaches.append(approach)
        core = InitiatingStream(
            self.policy,
            ids(),
            pair,
            loop.time(),
            has_certificate=approach.external and self.has_certificate,
            wants_bidi=approach.bidi,
        )
        connection = Connection(
            self,
            loop,
            core,
            number=len(self.connections) + 1,
            direction="out",
            leg="s2s",
            tls_context=lambda: client_context(None, direct_tls=False),
        )
        self.connections.append(connection)
        return connection

    def _tell(self, shard: int, frame: Frame) -> None:
        self.told.append((shard, frame))
        self.changed()

    def _answer(self, acceptor: str, frame: Frame) -> None:
        self.answered.append((acceptor, frame))
        self.changed()

    # --- the acceptor's part ---

    def happened(self, connection: Connection, event: Event) -> None:
        super().happened(connection, event)
        if isinstance(event, PairAuthorised) and event.may_send:
            self.dialer.authorised(connection, event.pair)
        elif isinstance(event, PairRefused):
            self.dialer.refused(connection, event)
        elif isinstance(event, KeyAnswered):
            self.dialer.key_answered(connection, event)
        elif isinstance(event, StreamClosed):
            self.dialer.stream_gone(connection)

    def closing(self, connection: Connection) -> None:
        super().closing(connection)
        self.dialer.stream_closing(connection)

    # --- what tests wait for ---

    async def failed(self) -> DialFailed:
        """The first dial that ends without a grant."""
        await self.until(lambda: any(isinstance(f, DialFailed) for _, f in self.told))
        return next(frame for _, frame in self.told if isinstance(frame, DialFailed))

    async def authorised(self) -> None:
        """A stream stands."""
        await self.until(lambda: bool(self.events(PairAuthorised)))

    async def verdict(self, request: int = 1) -> str:
        """What the owner hears of its key."""

        def found() -> list[str]:
            return [
                frame.verdict
                for _, frame in self.answered
                if isinstance(frame, Verified) and frame.request == request
            ]

        await self.until(lambda: bool(found()))
        (verdict,) = found()
        return verdict

    def under_way(self) -> list[Frame]:
        return list(self.dialer.announcements(ALL))


def ask(request: int = 1, *, owner: str = "a7.1", stream_id: str = "s1") -> VerifyKey:
    """Have a key of capulet.example verified."""
    return VerifyKey(owner, request, PAIR.inverse(), stream_id, "key")


# --- what servers do ---


async def greet(peer: Peer, *offered: str) -> Wire:
    """Take the next connection and offer dialback."""
    wire = await peer.accepted()
    await wire.until("<stream:stream")
    await wire.until(">")
    await wire.send(header(CAPULET, MONTAGUE, id="theirs") + features(DIALBACK_FEATURE, *offered))
    return wire


def result(kind: str) -> str:
    error = "<error type='cancel'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    inside = error if kind == "error" else ""
    return f"<db:result from='{CAPULET}' to='{MONTAGUE}' type='{kind}'>{inside}</db:result>"


def verified(kind: str, stream_id: str = "s1") -> str:
    return f"<db:verify from='{CAPULET}' to='{MONTAGUE}' id='{stream_id}' type='{kind}'/>"


def stream_error(condition: str) -> str:
    return (
        f"<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        f"</stream:error>{END}"
    )


async def admit(peer: Peer) -> Wire:
    wire = await greet(peer)
    await wire.until("</db:result>")
    await wire.send(result("valid"))
    return wire


async def refuse_tls(peer: Peer) -> None:
    """Agree to TLS, then speak something else."""
    wire = await greet(peer, STARTTLS)
    await wire.until("<starttls")
    await wire.send(PROCEED)
    await wire.until("\x16")
    await wire.send("no TLS is spoken here\r\n")


async def hang_up(peer: Peer) -> None:
    wire = await greet(peer)
    await wire.until("</db:result>")
    await wire.close()


async def end_with(peer: Peer, condition: str) -> None:
    wire = await greet(peer)
    await wire.send(stream_error(condition))
