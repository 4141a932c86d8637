"""Many dials to one place at once, against a scripted server: how many connect, who goes first."""

import asyncio
from dataclasses import replace

import pytest

from router.acceptor.dialling import dialer as module
from router.acceptor.dialling.backoff import FREE
from router.acceptor.dialling.turns import Turns
from router.peer_memory import Fact
from router.wire.frames import DialFailed, VerifyKey
from router.xmpp.events import PairAuthorised
from router.xmpp.pair import DomainPair
from tests.support.dialling import PAIR, Caller, admit, ask, result, stream_error, verified
from tests.support.nodes import CAPULET, MONTAGUE, VERONA
from tests.support.scripted_peer import DIALBACK_FEATURE, Peer, Wire, features, header

LEAR = "lear.example"
FOOL = "fool.example"


@pytest.fixture
def crowd(caller: Caller, capulet: Peer, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """Two at once; each domain is at the one server, which takes each on a stream of its own."""
    monkeypatch.setattr(module, "_CONNECTING", 2)
    for domain in (CAPULET, LEAR, FOOL):
        caller.targets(capulet.port, domain=domain)
        caller.memory.learn(domain, Fact.MULTIPLEX, "refused")
    return caller


def pair(domain: str) -> DomainPair:
    return DomainPair(MONTAGUE, domain)


async def met(peer: Peer, *domains: str) -> list[Wire]:
    """The next connections, whose order is the kernel's, in that of the domains they are for."""
    wires = {}
    for _ in domains:
        wire = await peer.accepted()
        came = await wire.until(">") + await wire.until(">")
        domain = next(each for each in domains if f'to="{each}"' in came)
        await wire.send(header(domain, MONTAGUE, id="theirs") + features(DIALBACK_FEATURE))
        await wire.until("</db:result>")
        wires[domain] = wire
    return [wires[domain] for domain in domains]


def valid(domain: str) -> str:
    return f"<db:result from='{domain}' to='{MONTAGUE}' type='valid'/>"


def key_of(domain: str) -> VerifyKey:
    return replace(ask(), pair=DomainPair(domain, MONTAGUE))


async def standing(caller: Caller, count: int) -> None:
    await caller.until(lambda: len(caller.events(PairAuthorised)) == count)


async def test_so_many_connect_and_the_next_follows_when_one_is_proved(
    crowd: Caller, capulet: Peer
) -> None:
    for domain in (CAPULET, LEAR, FOOL):
        crowd.dialer.dial(pair(domain))
    _, second = await met(capulet, CAPULET, LEAR)
    assert len(crowd.connections) == 2
    assert capulet.unaccepted() == 0
    await second.send(valid(LEAR))
    (third,) = await met(capulet, FOOL)
    await third.send(valid(FOOL))
    await standing(crowd, 2)


async def test_a_failure_makes_room_as_well(crowd: Caller, capulet: Peer) -> None:
    for domain in (CAPULET, LEAR, FOOL):
        crowd.dialer.dial(pair(domain))
    first, _ = await met(capulet, CAPULET, LEAR)
    await first.send(stream_error("host-unknown"))
    await met(capulet, FOOL)


async def test_other_places_are_not_kept_waiting(
    crowd: Caller, capulet: Peer, second: Peer
) -> None:
    crowd.targets(second.port, domain=FOOL)
    for domain in (CAPULET, LEAR, FOOL):
        crowd.dialer.dial(pair(domain))
    await met(second, FOOL)


@pytest.mark.clause("DBK-11")
async def test_what_is_to_verify_a_key_waits_for_nobody(crowd: Caller, capulet: Peer) -> None:
    """The peer may be waiting for it, and we for the peer."""
    for domain in (CAPULET, LEAR):
        crowd.dialer.dial(pair(domain))
    await met(capulet, CAPULET, LEAR)
    crowd.dialer.verify(key_of(FOOL))
    (wire,) = await met(capulet, FOOL)
    await wire.until("</db:verify>")


@pytest.mark.clause("DBK-11")
async def test_a_key_that_comes_while_its_dial_waits_lets_it_go(
    crowd: Caller, capulet: Peer
) -> None:
    for domain in (CAPULET, LEAR, FOOL):
        crowd.dialer.dial(pair(domain))
    await met(capulet, CAPULET, LEAR)
    crowd.dialer.verify(key_of(FOOL))
    (wire,) = await met(capulet, FOOL)
    await wire.until("</db:verify>")
    assert len(crowd.connections) == 3


@pytest.mark.clause("DBK-26")
async def test_when_its_turn_comes_a_dial_takes_a_stream_that_has_opened_meanwhile(
    crowd: Caller, capulet: Peer
) -> None:
    crowd.dialer.dial(PAIR)
    crowd.dialer.dial(pair(LEAR))
    crowd.dialer.dial(DomainPair(VERONA, CAPULET))
    first, second = await met(capulet, CAPULET, LEAR)
    crowd.memory.learn(CAPULET, Fact.MULTIPLEX, "works")
    await first.send(valid(CAPULET))
    assert f'from="{VERONA}"' in await first.until("</db:result>")
    await first.send(f"<db:result from='{CAPULET}' to='{VERONA}' type='valid'/>")
    await standing(crowd, 2)
    assert len(crowd.connections) == 2
    await second.close()


async def test_who_waits_learns_that_the_place_has_failed(crowd: Caller, capulet: Peer) -> None:
    for domain in (CAPULET, LEAR, FOOL):
        crowd.dialer.dial(pair(domain))
    first, _ = await met(capulet, CAPULET, LEAR)
    backoff = crowd.dialer._backoffs.of(CAPULET)
    for _ in range(FREE + 1):
        backoff.failed(("localhost", capulet.port), module.unreachable("it is down"))
    await first.send(valid(CAPULET))
    failed = await crowd.failed()
    assert (failed.pair, failed.text) == (pair(FOOL), "it is down")
    assert len(crowd.connections) == 2


async def test_who_waits_too_long_is_told_and_that_is_nothing_against_the_peer(
    crowd: Caller, capulet: Peer
) -> None:
    crowd.dialer._connecting = Turns(1, wait_s=0.01)
    crowd.dialer.dial(PAIR)
    (first,) = await met(capulet, CAPULET)
    for count in range(1, FREE + 3):
        crowd.dialer.dial(pair(LEAR))
        await crowd.until(lambda: len(failures(crowd)) == count)  # noqa: B023
    assert {failed.condition for failed in failures(crowd)} == {"remote-server-timeout"}
    assert "too many connections" in failures(crowd)[-1].text
    await first.send(valid(CAPULET))
    await standing(crowd, 1)
    crowd.dialer.dial(pair(LEAR))
    await met(capulet, LEAR)


async def test_nobody_waits_any_more_once_we_drain(crowd: Caller, capulet: Peer) -> None:
    for domain in (CAPULET, LEAR, FOOL):
        crowd.dialer.dial(pair(domain))
    _, second = await met(capulet, CAPULET, LEAR)
    crowd.dialer.drain()
    failed = await crowd.failed()
    assert (failed.pair, failed.text) == (pair(FOOL), "this server is shutting down")
    await second.send(valid(LEAR))  # what was on its way may arrive
    await standing(crowd, 1)
    assert len(crowd.connections) == 2


async def test_what_is_broken_off_leaves_nothing_behind(crowd: Caller, capulet: Peer) -> None:
    for domain in (CAPULET, LEAR, FOOL):
        crowd.dialer.dial(pair(domain))
    await met(capulet, CAPULET, LEAR)
    tasks = set(crowd.dialer._tasks)
    crowd.dialer.close()
    await asyncio.wait(tasks)
    assert len(crowd.dialer._connecting) == 0


def failures(caller: Caller) -> list[DialFailed]:
    return [frame for _, frame in caller.told if isinstance(frame, DialFailed)]


# --- keys on streams that are there ---


async def promising(caller: Caller, capulet: Peer) -> Wire:
    """Our stream to capulet.example stands, and its peer bears several pairs."""
    caller.memory.learn(CAPULET, Fact.MULTIPLEX, "works")
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    wire = await admit(capulet)
    await caller.authorised()
    return wire


@pytest.mark.clause("DBK-11")
async def test_a_key_is_asked_about_at_hand_where_its_domain_is_at_the_same_place(
    caller: Caller, capulet: Peer
) -> None:
    wire = await promising(caller, capulet)
    caller.targets(capulet.port, domain=LEAR)
    otherwise: list[str] = []
    caller.dialer.verify_at_hand(key_of(LEAR), lambda: otherwise.append("dial"))
    assert f'to="{LEAR}"' in await wire.until("</db:verify>")
    await wire.send(verified("valid").replace(CAPULET, LEAR))
    assert await caller.verdict() == "valid"
    assert (otherwise, caller.told[1:]) == ([], []), "and no shard hears of a dial"


@pytest.mark.clause("DBK-10", "BIDI-20")
async def test_a_domain_elsewhere_is_not_asked_about_at_hand(
    caller: Caller, capulet: Peer, second: Peer
) -> None:
    await promising(caller, capulet)
    caller.targets(second.port, domain=LEAR)
    caller.config.peers[FOOL] = replace(caller.config.peer(FOOL), deny=True)
    caller.targets(capulet.port, domain=FOOL)
    otherwise: list[str] = []
    for domain in (LEAR, "nowhere.example", FOOL):
        caller.dialer.verify_at_hand(key_of(domain), lambda: otherwise.append("dial"))
    await asyncio.wait(set(caller.dialer._tasks))
    assert otherwise == ["dial"] * 3
    assert len(caller.connections) == 1


@pytest.mark.clause("DBK-11", "DBK-27")
async def test_a_key_that_a_shard_sends_opens_no_connection_where_there_is_one(
    caller: Caller, capulet: Peer
) -> None:
    wire = await promising(caller, capulet)
    caller.targets(capulet.port, domain=LEAR)
    caller.dialer.verify(key_of(LEAR))
    await wire.until("</db:verify>")
    assert f'to="{LEAR}"' in await wire.until("</db:result>")
    await wire.send(verified("valid").replace(CAPULET, LEAR) + valid(LEAR))
    assert await caller.verdict() == "valid"
    await standing(caller, 2)
    assert len(caller.connections) == 1


async def test_a_stream_that_only_verified_keys_for_many_is_closed_like_one_that_did_for_one(
    caller: Caller, capulet: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_VERIFY_IDLE_S", 0.01)
    caller.memory.learn(CAPULET, Fact.MULTIPLEX, "works")
    for domain in (CAPULET, LEAR):
        caller.targets(capulet.port, domain=domain)
    caller.dialer.verify(ask(1))
    (wire,) = await met(capulet, CAPULET)
    await wire.until("</db:verify>")
    caller.dialer.verify(key_of(LEAR))
    await wire.until("</db:verify>")
    await wire.send(verified("valid") + result("valid"))
    await wire.until("</db:result>")
    await wire.send(verified("valid").replace(CAPULET, LEAR) + valid(LEAR))
    await wire.until("</stream:stream>")
