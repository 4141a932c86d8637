"""Streams that we open, against scripted servers: where, in which order, and what is told of it."""

import re
from dataclasses import replace

import pytest

from router.acceptor.dialling import dialer as module
from router.acceptor.dialling.dns import Target
from router.config import Address, Config
from router.config import Peer as PeerConfig
from router.wire.frames import DialFailed, Dialling, Granted
from router.wire.shard import shard_of
from router.xmpp.events import PairAuthorised
from router.xmpp.pair import DomainPair
from tests.support.dialling import (
    ALL,
    CLOSED_PORT,
    PAIR,
    Caller,
    Trouble,
    admit,
    end_with,
    greet,
    hang_up,
    refuse_tls,
    result,
)
from tests.support.nodes import CAPULET, MONTAGUE, VERONA
from tests.support.scripted_peer import (
    Peer,
)

# --- the way there ---


async def test_a_dial_is_told_of_until_its_stream_stands(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    await caller.until(lambda: bool(caller.told))
    assert caller.told == [(shard_of(*PAIR), Dialling(PAIR))]
    assert caller.under_way() == [Dialling(PAIR)]
    assert list(caller.dialer.announcements(ALL - {shard_of(*PAIR)})) == []
    await admit(capulet)
    await caller.authorised()
    assert caller.under_way() == []
    assert caller.told == [(shard_of(*PAIR), Dialling(PAIR))]


async def test_who_asks_again_is_told_of_the_stream_there_is(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    caller.dialer.dial(PAIR)
    await admit(capulet)
    await caller.authorised()
    caller.dialer.dial(PAIR)
    assert [frame for _, frame in caller.told] == [
        Dialling(PAIR),
        Granted(1, PAIR, True, "dialback"),
    ]
    assert (capulet.unaccepted(), len(caller.connections)) == (0, 1)


async def test_each_pair_has_a_dial_of_its_own(caller: Caller, capulet: Peer) -> None:
    caller.certificates.domains = {VERONA}  # so that it would not share the other's stream
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    caller.dialer.dial(DomainPair(VERONA, CAPULET))
    senders = set()
    for _ in range(2):
        wire = await capulet.accepted()
        await wire.until("<stream:stream")
        senders.update(re.findall(r' from="([^"]+)"', await wire.until(">")))
    assert senders == {MONTAGUE, VERONA}


async def test_a_static_route_needs_no_dns_and_passes_the_filter(
    caller: Caller, capulet: Peer
) -> None:
    route = PeerConfig(target=Address("localhost", capulet.port))
    caller.config = Config(peers={CAPULET: route})
    caller.dialer.dial(PAIR)
    await admit(capulet)
    await caller.authorised()


async def test_addresses_that_a_stranger_may_not_name_are_not_dialled(
    caller: Caller, capulet: Peer
) -> None:
    caller.config = Config()
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    failed = await caller.failed()
    assert (failed.condition, failed.type) == ("remote-server-timeout", "cancel")
    assert "no address that may be dialled" in failed.text
    assert (capulet.unaccepted(), caller.connections) == (0, [])


@pytest.mark.clause("RTE-10")
async def test_a_domain_that_is_not_to_be_found(caller: Caller) -> None:
    caller.dialer.dial(PAIR)
    assert await caller.failed() == DialFailed(
        PAIR, "remote-server-not-found", "cancel", f"{CAPULET} has no address"
    )
    assert caller.under_way() == []


async def test_a_host_without_address_gives_way_to_the_next(caller: Caller, capulet: Peer) -> None:
    caller.resolver.targets_of[CAPULET] = (
        Target("nowhere.example", capulet.port, "starttls"),
        Target("localhost", capulet.port, "starttls"),
    )
    caller.dialer.dial(PAIR)
    await admit(capulet)
    await caller.authorised()


@pytest.mark.clause("RTE-10")
async def test_nobody_there(caller: Caller) -> None:
    caller.targets(CLOSED_PORT)
    caller.dialer.dial(PAIR)
    failed = await caller.failed()
    assert (failed.condition, failed.type) == ("remote-server-timeout", "wait")
    assert f"port {CLOSED_PORT}" in failed.text
    assert caller.connections == [], "a connection that never was is kept nowhere"


async def test_silence_is_told_in_words(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(module, "connect", connect)
    caller.targets(CLOSED_PORT)
    caller.dialer.dial(PAIR)
    assert (await caller.failed()).text == f"localhost port {CLOSED_PORT}: no answer"


async def test_a_denied_domain_is_not_dialled(caller: Caller, capulet: Peer) -> None:
    caller.config = replace(caller.config, peers={CAPULET: PeerConfig(deny=True)})
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    failed = await caller.failed()
    assert (failed.condition, failed.type) == ("remote-server-timeout", "cancel")
    assert capulet.unaccepted() == 0


async def test_nobody_is_dialled_once_we_drain(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    caller.dialer.drain()
    caller.dialer.dial(PAIR)
    assert (await caller.failed()).condition == "remote-server-timeout"
    assert capulet.unaccepted() == 0


# --- one target after another ---


async def test_a_closed_port_gives_way_to_the_next_target(caller: Caller, capulet: Peer) -> None:
    caller.targets(CLOSED_PORT, capulet.port)
    caller.dialer.dial(PAIR)
    await admit(capulet)
    await caller.authorised()
    assert [frame for _, frame in caller.told] == [Dialling(PAIR)]


@pytest.mark.parametrize(
    "trouble",
    [refuse_tls, hang_up, lambda peer: end_with(peer, "undefined-condition")],
    ids=["TLS", "lost", "stream error"],
)
@pytest.mark.clause("TLS-05")
async def test_a_stream_that_comes_to_nothing_gives_way_to_the_next_target(
    caller: Caller, capulet: Peer, second: Peer, trouble: Trouble
) -> None:
    caller.targets(capulet.port, second.port)
    caller.dialer.dial(PAIR)
    await trouble(capulet)
    await admit(second)
    await caller.authorised()
    assert [frame for _, frame in caller.told] == [Dialling(PAIR)]


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
    caller: Caller,
    capulet: Peer,
    second: Peer,
    trouble: Trouble,
    condition: str,
    error_type: str,
) -> None:
    caller.targets(capulet.port, second.port)
    caller.dialer.dial(PAIR)
    await trouble(capulet)
    failed = await caller.failed()
    assert (failed.condition, failed.type) == (condition, error_type)
    assert second.unaccepted() == 0


@pytest.mark.parametrize(
    "kind, condition", [("invalid", "internal-server-error"), ("error", "remote-server-timeout")]
)
@pytest.mark.clause("DBK-20", "DBK-21")
async def test_a_refusal_is_final(
    caller: Caller, capulet: Peer, second: Peer, kind: str, condition: str
) -> None:
    caller.targets(capulet.port, second.port)
    caller.dialer.dial(PAIR)
    wire = await greet(capulet)
    await wire.until("</db:result>")
    await wire.send(result(kind))
    assert (await caller.failed()).condition == condition
    assert second.unaccepted() == 0
    assert caller.under_way() == []


async def test_the_last_target_gives_the_reason(caller: Caller, capulet: Peer) -> None:
    caller.targets(CLOSED_PORT, capulet.port)
    caller.dialer.dial(PAIR)
    await end_with(capulet, "undefined-condition")
    failed = await caller.failed()
    assert failed.text.startswith("undefined-condition during negotiation")


async def test_a_failed_handshake_is_told_in_openssls_words(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    await refuse_tls(capulet)
    assert "wrong version number" in (await caller.failed()).text


# --- the end of a stream ---


async def test_after_its_stream_is_gone_a_pair_is_dialled_anew(
    caller: Caller, capulet: Peer
) -> None:
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    wire = await admit(capulet)
    await caller.authorised()
    await wire.close()
    await caller.until(lambda: "lost" in caller.names())
    caller.dialer.dial(PAIR)
    await admit(capulet)
    await caller.until(lambda: len(caller.events(PairAuthorised)) == 2)
    assert [frame for _, frame in caller.told] == [Dialling(PAIR)] * 2


async def test_a_stream_that_closes_is_no_answer_to_a_dial(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    await admit(capulet)
    await caller.authorised()
    caller.connections[0].close()
    caller.dialer.dial(PAIR)
    await admit(capulet)
    await caller.until(lambda: len(caller.events(PairAuthorised)) == 2)
    assert [frame for _, frame in caller.told] == [Dialling(PAIR)] * 2
