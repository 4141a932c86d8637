"""Streams that we open, against scripted servers: where, in which order, and what is told of it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bench.authority import Authority
from router.acceptor import dialer as module
from router.acceptor.connection import Connection
from router.acceptor.contexts import client_context
from router.acceptor.dialer import Dialer
from router.acceptor.dns import Target, Unresolvable
from router.config import Address, Config, Dial
from router.config import Peer as PeerConfig
from router.wire.frames import DialFailed, Dialling, Frame, Granted, Verified, VerifyKey
from router.wire.shard import SHARDS, shard_of
from router.xmpp.events import Event, KeyAnswered, PairAuthorised, PairRefused, StreamClosed
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from tests.support.acceptors import HOST, Hub
from tests.support.eventually import eventually
from tests.support.nodes import CAPULET, MONTAGUE, VERONA, certificate
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
    scripted,
)

PAIR = DomainPair(MONTAGUE, CAPULET)
ALL = frozenset(range(SHARDS))
CLOSED_PORT = 1
"""Nobody listens there."""


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


class Rig(Hub):
    """A dialer, and the acceptor around it as far as a dialer needs one."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, Frame]] = []
        self.answered: list[tuple[str, Frame]] = []
        self.connections: list[Connection] = []
        self.config = Config(dial=Dial(allow_private_addresses=True))
        self.resolver = Resolver({}, {"localhost": (HOST,)})
        self.policy = policy(MONTAGUE, VERONA, tls_required=False)
        self._dialer: Dialer | None = None

    @property
    def dialer(self) -> Dialer:
        """Made at its first use, so that a test may change the configuration before."""
        if self._dialer is None:
            self._dialer = Dialer(
                asyncio.get_running_loop(),
                self.config,
                self.resolver,  # type: ignore[arg-type]
                new_connection=self._connection,
                to_shard=self._tell,
                to_acceptor=self._answer,
            )
        return self._dialer

    def targets(self, *ports: int, domain: str = CAPULET) -> None:
        """Where the domain is, by DNS."""
        self.resolver.targets_of[domain] = tuple(
            Target("localhost", port, "starttls") for port in ports
        )

    def _connection(self, pair: DomainPair, target: Target) -> Connection:
        loop = asyncio.get_running_loop()
        core = InitiatingStream(self.policy, ids(), pair, loop.time(), has_certificate=False)
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
            self.dialer.refused(connection, event.pair, event.error)
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


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    for connection in rig.connections:
        connection.abort()


@pytest.fixture
async def capulet(issuer: Authority) -> AsyncIterator[Peer]:
    async with scripted(CAPULET, MONTAGUE, certificate(issuer, CAPULET)) as peer:
        yield peer


@pytest.fixture
async def second(issuer: Authority) -> AsyncIterator[Peer]:
    """Another server of capulet.example."""
    async with scripted(CAPULET, MONTAGUE, certificate(issuer, CAPULET)) as peer:
        yield peer


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


# --- the way there ---


async def test_a_dial_is_told_of_until_its_stream_stands(rig: Rig, capulet: Peer) -> None:
    rig.targets(capulet.port)
    rig.dialer.dial(PAIR)
    await rig.until(lambda: bool(rig.told))
    assert rig.told == [(shard_of(*PAIR), Dialling(PAIR))]
    assert rig.under_way() == [Dialling(PAIR)]
    assert list(rig.dialer.announcements(ALL - {shard_of(*PAIR)})) == []
    await admit(capulet)
    await rig.authorised()
    assert rig.under_way() == []
    assert rig.told == [(shard_of(*PAIR), Dialling(PAIR))]


async def test_who_asks_again_is_told_of_the_stream_there_is(rig: Rig, capulet: Peer) -> None:
    rig.targets(capulet.port)
    rig.dialer.dial(PAIR)
    rig.dialer.dial(PAIR)
    await admit(capulet)
    await rig.authorised()
    rig.dialer.dial(PAIR)
    assert [frame for _, frame in rig.told] == [
        Dialling(PAIR),
        Granted(1, PAIR, True, "dialback"),
    ]
    assert (capulet.unaccepted(), len(rig.connections)) == (0, 1)


async def test_each_pair_has_a_dial_of_its_own(rig: Rig, capulet: Peer) -> None:
    rig.targets(capulet.port)
    rig.dialer.dial(PAIR)
    rig.dialer.dial(DomainPair(VERONA, CAPULET))
    senders = set()
    for _ in range(2):
        wire = await capulet.accepted()
        await wire.until("<stream:stream")
        senders.update(re.findall(r' from="([^"]+)"', await wire.until(">")))
    assert senders == {MONTAGUE, VERONA}


async def test_a_static_route_needs_no_dns_and_passes_the_filter(rig: Rig, capulet: Peer) -> None:
    route = PeerConfig(target=Address("localhost", capulet.port))
    rig.config = Config(peers={CAPULET: route})
    rig.dialer.dial(PAIR)
    await admit(capulet)
    await rig.authorised()


async def test_addresses_that_a_stranger_may_not_name_are_not_dialled(
    rig: Rig, capulet: Peer
) -> None:
    rig.config = Config()
    rig.targets(capulet.port)
    rig.dialer.dial(PAIR)
    failed = await rig.failed()
    assert (failed.condition, failed.type) == ("remote-server-timeout", "cancel")
    assert "no address that may be dialled" in failed.text
    assert (capulet.unaccepted(), rig.connections) == (0, [])


@pytest.mark.clause("RTE-10")
async def test_a_domain_that_is_not_to_be_found(rig: Rig) -> None:
    rig.dialer.dial(PAIR)
    assert await rig.failed() == DialFailed(
        PAIR, "remote-server-not-found", "cancel", f"{CAPULET} has no address"
    )
    assert rig.under_way() == []


async def test_a_host_without_address_gives_way_to_the_next(rig: Rig, capulet: Peer) -> None:
    rig.resolver.targets_of[CAPULET] = (
        Target("nowhere.example", capulet.port, "starttls"),
        Target("localhost", capulet.port, "starttls"),
    )
    rig.dialer.dial(PAIR)
    await admit(capulet)
    await rig.authorised()


@pytest.mark.clause("RTE-10")
async def test_nobody_there(rig: Rig) -> None:
    rig.targets(CLOSED_PORT)
    rig.dialer.dial(PAIR)
    failed = await rig.failed()
    assert (failed.condition, failed.type) == ("remote-server-timeout", "wait")
    assert f"port {CLOSED_PORT}" in failed.text
    assert rig.connections == [], "a connection that never was is kept nowhere"


async def test_silence_is_told_in_words(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(module, "connect", connect)
    rig.targets(CLOSED_PORT)
    rig.dialer.dial(PAIR)
    assert (await rig.failed()).text == f"localhost port {CLOSED_PORT}: no answer"


async def test_a_denied_domain_is_not_dialled(rig: Rig, capulet: Peer) -> None:
    rig.config = replace(rig.config, peers={CAPULET: PeerConfig(deny=True)})
    rig.targets(capulet.port)
    rig.dialer.dial(PAIR)
    failed = await rig.failed()
    assert (failed.condition, failed.type) == ("remote-server-timeout", "cancel")
    assert capulet.unaccepted() == 0


async def test_nobody_is_dialled_once_we_drain(rig: Rig, capulet: Peer) -> None:
    rig.targets(capulet.port)
    rig.dialer.drain()
    rig.dialer.dial(PAIR)
    assert (await rig.failed()).condition == "remote-server-timeout"
    assert capulet.unaccepted() == 0


# --- one target after another ---


async def test_a_closed_port_gives_way_to_the_next_target(rig: Rig, capulet: Peer) -> None:
    rig.targets(CLOSED_PORT, capulet.port)
    rig.dialer.dial(PAIR)
    await admit(capulet)
    await rig.authorised()
    assert [frame for _, frame in rig.told] == [Dialling(PAIR)]


Trouble = Callable[[Peer], Awaitable[None]]


@pytest.mark.parametrize(
    "trouble",
    [refuse_tls, hang_up, lambda peer: end_with(peer, "undefined-condition")],
    ids=["TLS", "lost", "stream error"],
)
@pytest.mark.clause("TLS-05")
async def test_a_stream_that_comes_to_nothing_gives_way_to_the_next_target(
    rig: Rig, capulet: Peer, second: Peer, trouble: Trouble
) -> None:
    rig.targets(capulet.port, second.port)
    rig.dialer.dial(PAIR)
    await trouble(capulet)
    await admit(second)
    await rig.authorised()
    assert [frame for _, frame in rig.told] == [Dialling(PAIR)]


@pytest.mark.parametrize(
    "trouble, condition, error_type",
    [
        (lambda peer: end_with(peer, "host-unknown"), "remote-server-not-found", "cancel"),
        (lambda peer: end_with(peer, "host-gone"), "remote-server-not-found", "cancel"),
        (lambda peer: end_with(peer, "policy-violation"), "remote-server-timeout", "cancel"),
    ],
    ids=["host-unknown", "host-gone", "policy-violation"],
)
@pytest.mark.clause("ERR-03", "RTE-10")
async def test_a_server_that_will_not_have_us_is_believed(
    rig: Rig,
    capulet: Peer,
    second: Peer,
    trouble: Trouble,
    condition: str,
    error_type: str,
) -> None:
    rig.targets(capulet.port, second.port)
    rig.dialer.dial(PAIR)
    await trouble(capulet)
    failed = await rig.failed()
    assert (failed.condition, failed.type) == (condition, error_type)
    assert second.unaccepted() == 0


@pytest.mark.parametrize(
    "kind, condition", [("invalid", "internal-server-error"), ("error", "remote-server-timeout")]
)
@pytest.mark.clause("DBK-20", "DBK-21")
async def test_a_refusal_is_final(
    rig: Rig, capulet: Peer, second: Peer, kind: str, condition: str
) -> None:
    rig.targets(capulet.port, second.port)
    rig.dialer.dial(PAIR)
    wire = await greet(capulet)
    await wire.until("</db:result>")
    await wire.send(result(kind))
    assert (await rig.failed()).condition == condition
    assert second.unaccepted() == 0
    assert rig.under_way() == []


async def test_the_last_target_gives_the_reason(rig: Rig, capulet: Peer) -> None:
    rig.targets(CLOSED_PORT, capulet.port)
    rig.dialer.dial(PAIR)
    await end_with(capulet, "undefined-condition")
    failed = await rig.failed()
    assert failed.text.startswith("undefined-condition during negotiation")


async def test_a_failed_handshake_is_told_in_openssls_words(rig: Rig, capulet: Peer) -> None:
    rig.targets(capulet.port)
    rig.dialer.dial(PAIR)
    await refuse_tls(capulet)
    assert "wrong version number" in (await rig.failed()).text


# --- the end of a stream ---


async def test_after_its_stream_is_gone_a_pair_is_dialled_anew(rig: Rig, capulet: Peer) -> None:
    rig.targets(capulet.port)
    rig.dialer.dial(PAIR)
    wire = await admit(capulet)
    await rig.authorised()
    await wire.close()
    await rig.until(lambda: "lost" in rig.names())
    rig.dialer.dial(PAIR)
    await admit(capulet)
    await rig.until(lambda: len(rig.events(PairAuthorised)) == 2)
    assert [frame for _, frame in rig.told] == [Dialling(PAIR)] * 2


async def test_a_stream_that_closes_is_no_answer_to_a_dial(rig: Rig, capulet: Peer) -> None:
    rig.targets(capulet.port)
    rig.dialer.dial(PAIR)
    await admit(capulet)
    await rig.authorised()
    rig.connections[0].close()
    rig.dialer.dial(PAIR)
    await admit(capulet)
    await rig.until(lambda: len(rig.events(PairAuthorised)) == 2)
    assert [frame for _, frame in rig.told] == [Dialling(PAIR)] * 2


# --- keys ---


@pytest.mark.clause("DBK-11", "DBK-14")
async def test_a_key_opens_a_stream_and_needs_no_grant_of_ours(rig: Rig, capulet: Peer) -> None:
    rig.targets(capulet.port)
    rig.dialer.verify(ask())
    wire = await greet(capulet)
    asked = await wire.until("</db:verify>")
    assert 'id="s1"' in asked
    assert ">key</db:verify>" in asked
    await wire.send(verified("valid"))
    assert await rig.verdict() == "valid"
    assert rig.answered == [("a7.1", Verified(1, "valid"))]
    assert rig.events(PairAuthorised) == []


async def test_a_key_goes_on_the_stream_there_is(rig: Rig, capulet: Peer) -> None:
    rig.targets(capulet.port)
    rig.dialer.dial(PAIR)
    wire = await admit(capulet)
    await rig.authorised()
    rig.dialer.verify(ask())
    await wire.until("</db:verify>")
    await wire.send(verified("invalid"))
    assert await rig.verdict() == "invalid"
    assert capulet.unaccepted() == 0


async def test_keys_that_come_while_a_stream_opens_go_on_it(rig: Rig, capulet: Peer) -> None:
    """Before the connection stands, and between that and the features."""
    rig.targets(capulet.port)
    rig.dialer.dial(PAIR)
    rig.dialer.verify(ask(1, stream_id="s1"))
    await rig.until(lambda: "opened" in rig.names())
    rig.dialer.verify(ask(2, stream_id="s2"))
    wire = await greet(capulet)
    for stream_id, kind in (("s1", "valid"), ("s2", "invalid")):
        assert f'id="{stream_id}"' in await wire.until("</db:verify>")
        await wire.send(verified(kind, stream_id))
    assert (await rig.verdict(1), await rig.verdict(2)) == ("valid", "invalid")
    assert capulet.unaccepted() == 0


async def test_one_question_of_two_acceptors_is_asked_once_and_answered_to_both(
    rig: Rig, capulet: Peer
) -> None:
    rig.targets(capulet.port)
    rig.dialer.verify(ask(1, owner="a7.1"))
    rig.dialer.verify(ask(9, owner="a8.1"))
    wire = await greet(capulet)
    await wire.until("</db:verify>")
    await wire.send(verified("valid"))
    await rig.verdict(9)
    assert set(rig.answered) == {("a7.1", Verified(1, "valid")), ("a8.1", Verified(9, "valid"))}
    assert "<db:verify" not in await wire.closed_in_order()


@pytest.mark.parametrize(
    "trouble, verdict",
    [
        (refuse_tls, "remote-connection-failed"),
        (hang_up, "remote-server-timeout"),
        (lambda peer: end_with(peer, "host-unknown"), "remote-server-not-found"),
        (lambda peer: end_with(peer, "undefined-condition"), "remote-server-timeout"),
    ],
    ids=["TLS", "lost", "host-unknown", "stream error"],
)
@pytest.mark.clause("DBK-17")
async def test_a_key_is_answered_with_what_kept_it_from_being_verified(
    rig: Rig, capulet: Peer, trouble: Trouble, verdict: str
) -> None:
    rig.targets(capulet.port)
    rig.dialer.verify(ask())
    await trouble(capulet)
    assert await rig.verdict() == verdict


@pytest.mark.clause("DBK-17")
async def test_a_key_whose_domain_cannot_be_reached_is_answered(rig: Rig) -> None:
    rig.dialer.verify(ask(1))
    assert await rig.verdict(1) == "remote-server-not-found"
    rig.targets(CLOSED_PORT)
    rig.dialer.verify(ask(2))
    assert await rig.verdict(2) == "remote-connection-failed"
    rig.dialer.drain()
    rig.dialer.verify(ask(3))
    assert await rig.verdict(3) == "remote-connection-failed"


@pytest.mark.clause("DBK-17")
async def test_a_server_that_never_says_is_a_timeout(rig: Rig, capulet: Peer) -> None:
    rig.policy = policy(MONTAGUE, tls_required=False, verification_timeout_s=0.02)
    rig.targets(capulet.port)
    rig.dialer.dial(PAIR)
    wire = await admit(capulet)
    await rig.authorised()
    rig.dialer.verify(ask())
    await wire.until("</db:verify>")
    assert await rig.verdict() == "remote-server-timeout"
    assert rig.connections[0].end is None


async def test_a_key_follows_its_dial_to_the_next_target(
    rig: Rig, capulet: Peer, second: Peer
) -> None:
    rig.targets(capulet.port, second.port)
    rig.dialer.verify(ask())
    await refuse_tls(capulet)
    wire = await greet(second)
    await wire.until("</db:verify>")
    assert rig.answered == []
    await wire.send(verified("valid"))
    assert await rig.verdict() == "valid"


async def test_a_server_that_refuses_us_may_still_speak_for_itself(rig: Rig, capulet: Peer) -> None:
    rig.targets(capulet.port)
    rig.dialer.verify(ask())
    wire = await greet(capulet)
    await wire.until("</db:verify>")
    await wire.send(result("error"))
    await rig.failed()
    assert rig.answered == []
    await wire.send(verified("valid"))
    assert await rig.verdict() == "valid"


async def test_a_key_asked_on_a_stream_that_dies_is_answered(rig: Rig, capulet: Peer) -> None:
    rig.targets(capulet.port)
    rig.dialer.dial(PAIR)
    wire = await admit(capulet)
    await rig.authorised()
    rig.dialer.verify(ask())
    await wire.until("</db:verify>")
    await wire.close()
    assert await rig.verdict() == "remote-server-timeout"


# --- streams opened for keys alone ---


async def test_a_stream_only_for_keys_is_closed_when_it_is_of_no_more_use(
    rig: Rig, capulet: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_VERIFY_IDLE_S", 0.01)
    rig.targets(capulet.port)
    rig.dialer.verify(ask())
    wire = await greet(capulet)
    await wire.until("</db:verify>")
    await wire.send(verified("valid") + result("valid"))
    assert END in await wire.until(END)


async def test_a_key_still_asked_keeps_its_stream_until_it_is_answered(
    rig: Rig, capulet: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_VERIFY_IDLE_S", 0.01)
    looked = watch(rig, monkeypatch)
    rig.targets(capulet.port)
    rig.dialer.verify(ask())
    wire = await greet(capulet)
    await wire.until("</db:verify>")
    await wire.send(result("valid"))
    await eventually(lambda: len(looked) >= 2)
    assert END not in wire.received
    await wire.send(verified("valid"))
    assert await rig.verdict() == "valid"
    await wire.until(END)


async def test_a_stream_that_stanzas_want_meanwhile_stays(
    rig: Rig, capulet: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_VERIFY_IDLE_S", 0.01)
    looked = watch(rig, monkeypatch)
    rig.targets(capulet.port)
    rig.dialer.verify(ask())
    wire = await greet(capulet)
    await wire.until("</db:verify>")
    await wire.send(verified("valid") + result("valid"))
    await rig.authorised()
    await asyncio.sleep(0)  # one turn, in which the dial's own task hears of it
    rig.dialer.dial(PAIR)
    await eventually(lambda: looked)
    assert "closing" not in rig.names()


def watch(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Note each look at whether a stream is of use."""
    looked: list[Any] = []
    look = rig.dialer._close_if_unused

    def noting(dial: Any) -> None:
        look(dial)
        looked.append(dial)

    monkeypatch.setattr(rig.dialer, "_close_if_unused", noting)
    return looked
