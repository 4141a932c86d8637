"""Keys that are verified on streams we open: asked once, always answered, and with what."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from router.acceptor.dialling import dialer as module
from router.peer_memory import Fact
from router.wire.frames import Verified
from router.xmpp.events import PairAuthorised
from router.xmpp.pair import DomainPair
from tests.support.dialling import (
    CLOSED_PORT,
    PAIR,
    Caller,
    Trouble,
    admit,
    ask,
    end_with,
    greet,
    hang_up,
    refuse_tls,
    result,
    verified,
)
from tests.support.eventually import eventually
from tests.support.nodes import MONTAGUE
from tests.support.pump import policy
from tests.support.scripted_peer import (
    END,
    Peer,
)

LEAR = "lear.example"

# --- keys ---


@pytest.mark.clause("DBK-11", "DBK-14")
async def test_a_key_opens_a_stream_and_needs_no_grant_of_ours(
    caller: Caller, capulet: Peer
) -> None:
    caller.targets(capulet.port)
    caller.dialer.verify(ask())
    wire = await greet(capulet)
    asked = await wire.until("</db:verify>")
    assert 'id="s1"' in asked
    assert ">key</db:verify>" in asked
    await wire.send(verified("valid"))
    assert await caller.verdict() == "valid"
    assert caller.answered == [("a7.1", Verified(1, "valid"))]
    assert caller.events(PairAuthorised) == []


async def test_a_key_goes_on_the_stream_there_is(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    wire = await admit(capulet)
    await caller.authorised()
    caller.dialer.verify(ask())
    await wire.until("</db:verify>")
    await wire.send(verified("invalid"))
    assert await caller.verdict() == "invalid"
    assert capulet.unaccepted() == 0


async def test_keys_that_come_while_a_stream_opens_go_on_it(caller: Caller, capulet: Peer) -> None:
    """Before the connection stands, and between that and the features."""
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    caller.dialer.verify(ask(1, stream_id="s1"))
    await caller.until(lambda: "opened" in caller.names())
    caller.dialer.verify(ask(2, stream_id="s2"))
    wire = await greet(capulet)
    for stream_id, kind in (("s1", "valid"), ("s2", "invalid")):
        assert f'id="{stream_id}"' in await wire.until("</db:verify>")
        await wire.send(verified(kind, stream_id))
    assert (await caller.verdict(1), await caller.verdict(2)) == ("valid", "invalid")
    assert capulet.unaccepted() == 0


async def test_one_question_of_two_acceptors_is_asked_once_and_answered_to_both(
    caller: Caller, capulet: Peer
) -> None:
    caller.targets(capulet.port)
    caller.dialer.verify(ask(1, owner="a7.1"))
    caller.dialer.verify(ask(9, owner="a8.1"))
    wire = await greet(capulet)
    await wire.until("</db:verify>")
    await wire.send(verified("valid"))
    await caller.verdict(9)
    assert set(caller.answered) == {
        ("a7.1", Verified(1, "valid")),
        ("a8.1", Verified(9, "valid")),
    }
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
    caller: Caller, capulet: Peer, trouble: Trouble, verdict: str
) -> None:
    caller.targets(capulet.port)
    caller.dialer.verify(ask())
    await trouble(capulet)
    assert await caller.verdict() == verdict


@pytest.mark.clause("DBK-17")
async def test_a_key_whose_domain_cannot_be_reached_is_answered(caller: Caller) -> None:
    caller.dialer.verify(ask(1))
    assert await caller.verdict(1) == "remote-server-not-found"
    caller.targets(CLOSED_PORT)
    caller.dialer.verify(ask(2))
    assert await caller.verdict(2) == "remote-connection-failed"
    caller.dialer.drain()
    caller.dialer.verify(ask(3))
    assert await caller.verdict(3) == "remote-connection-failed"


@pytest.mark.clause("DBK-17")
async def test_a_server_that_never_says_is_a_timeout(caller: Caller, capulet: Peer) -> None:
    caller.policy = policy(MONTAGUE, tls_required=False, verification_timeout_s=0.02)
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    wire = await admit(capulet)
    await caller.authorised()
    caller.dialer.verify(ask())
    await wire.until("</db:verify>")
    assert await caller.verdict() == "remote-server-timeout"
    assert caller.connections[0].end is None


async def test_a_key_follows_its_dial_to_the_next_target(
    caller: Caller, capulet: Peer, second: Peer
) -> None:
    caller.targets(capulet.port, second.port)
    caller.dialer.verify(ask())
    await refuse_tls(capulet)
    wire = await greet(second)
    await wire.until("</db:verify>")
    assert caller.answered == []
    await wire.send(verified("valid"))
    assert await caller.verdict() == "valid"


async def test_a_server_that_refuses_us_may_still_speak_for_itself(
    caller: Caller, capulet: Peer
) -> None:
    caller.targets(capulet.port)
    caller.dialer.verify(ask())
    wire = await greet(capulet)
    await wire.until("</db:verify>")
    await wire.send(result("error"))
    await caller.failed()
    assert caller.answered == []
    await wire.send(verified("valid"))
    assert await caller.verdict() == "valid"


async def test_a_key_asked_on_a_stream_that_dies_is_answered(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    wire = await admit(capulet)
    await caller.authorised()
    caller.dialer.verify(ask())
    await wire.until("</db:verify>")
    await wire.close()
    assert await caller.verdict() == "remote-server-timeout"


@pytest.mark.clause("DBK-09")
async def test_a_stream_that_dies_leaves_its_keys_to_dials_for_their_domains_alone(
    caller: Caller, capulet: Peer
) -> None:
    caller.memory.learn(PAIR.target, Fact.MULTIPLEX, "works")
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    wire = await admit(capulet)
    await caller.authorised()
    caller.dialer.verify(ask())
    caller.targets(capulet.port, domain=LEAR)
    caller.dialer.dial(DomainPair(MONTAGUE, LEAR))
    await wire.until(f'to="{LEAR}"')
    await wire.until("</db:result>")
    await wire.close()
    assert await caller.verdict() == "remote-server-timeout"
    wire = await greet(capulet)  # the pair that shared the stream gets one of its own
    assert f'to="{LEAR}"' in await wire.until("</db:result>")


async def test_another_key_for_a_stream_id_does_not_get_the_first_one_s_verdict(
    caller: Caller, capulet: Peer
) -> None:
    """The ids of streams that we open are their peers' choice, so two streams may have one."""
    caller.targets(capulet.port)
    caller.dialer.verify(ask(1))
    caller.dialer.verify(replace(ask(2), key="another"))
    wire = await greet(capulet)
    await wire.until("</db:verify>")
    await wire.send(verified("valid"))
    assert (await caller.verdict(1), await caller.verdict(2)) == ("valid", "remote-server-timeout")


@pytest.mark.clause("BIDI-21")
async def test_stanzas_take_the_connection_that_a_key_opens(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    caller.dialer.verify(ask())
    caller.dialer.dial(PAIR)
    await admit(capulet)
    await caller.authorised()
    assert len(caller.connections) == 1


# --- streams opened for keys alone ---


async def test_a_stream_only_for_keys_is_closed_when_it_is_of_no_more_use(
    caller: Caller, capulet: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_VERIFY_IDLE_S", 0.01)
    caller.targets(capulet.port)
    caller.dialer.verify(ask())
    wire = await greet(capulet)
    await wire.until("</db:verify>")
    await wire.send(verified("valid") + result("valid"))
    assert END in await wire.until(END)


async def test_a_key_still_asked_keeps_its_stream_until_it_is_answered(
    caller: Caller, capulet: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_VERIFY_IDLE_S", 0.01)
    looked = watch(caller, monkeypatch)
    caller.targets(capulet.port)
    caller.dialer.verify(ask())
    wire = await greet(capulet)
    await wire.until("</db:verify>")
    await wire.send(result("valid"))
    await eventually(lambda: len(looked) >= 2)
    assert END not in wire.received
    await wire.send(verified("valid"))
    assert await caller.verdict() == "valid"
    await wire.until(END)


async def test_a_stream_that_stanzas_want_meanwhile_stays(
    caller: Caller, capulet: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_VERIFY_IDLE_S", 0.01)
    looked = watch(caller, monkeypatch)
    caller.targets(capulet.port)
    caller.dialer.verify(ask())
    wire = await greet(capulet)
    await wire.until("</db:verify>")
    await wire.send(verified("valid") + result("valid"))
    await caller.authorised()
    await asyncio.sleep(0)  # one turn, in which the dial's own task hears of it
    caller.dialer.dial(PAIR)
    await eventually(lambda: looked)
    assert "closing" not in caller.names()


@pytest.mark.parametrize("direction", ["stanzas_in", "stanzas_out"])
async def test_a_stream_that_carries_stanzas_stays_without_a_dial(
    caller: Caller, capulet: Peer, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    monkeypatch.setattr(module, "_VERIFY_IDLE_S", 0.01)
    looked = watch(caller, monkeypatch)
    caller.targets(capulet.port)
    caller.dialer.verify(ask())
    wire = await greet(capulet)
    await wire.until("</db:verify>")
    await wire.send(verified("valid") + result("valid"))
    await caller.authorised()
    setattr(caller.connections[0], direction, 1)
    await eventually(lambda: looked)
    assert "closing" not in caller.names()


def watch(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Note each look at whether a stream is of use."""
    looked: list[Any] = []
    look = caller.dialer._close_if_unused

    def noting(dial: Any) -> None:
        look(dial)
        looked.append(dial)

    monkeypatch.setattr(caller.dialer, "_close_if_unused", noting)
    return looked
