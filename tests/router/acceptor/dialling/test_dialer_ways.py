"""A dial that does not go as hoped: other ways, back-off, and streams that are open already."""

import pytest

from router.acceptor.dialling.attempts import Approach
from router.acceptor.dialling.backoff import FREE
from router.acceptor.dialling.dns import Target
from router.config import Config, Dial
from router.config import Peer as PeerConfig
from router.peer_memory import Fact
from router.wire.frames import DialFailed, Granted
from router.xmpp.pair import DomainPair
from tests.support.acceptors import HOST
from tests.support.dialling import (
    CLOSED_PORT,
    PAIR,
    Caller,
    admit,
    ask,
    greet,
    result,
    stream_error,
    verified,
)
from tests.support.nodes import CAPULET, MONTAGUE, VERONA
from tests.support.scripted_peer import (
    BIDI_FEATURE,
    DIALBACK_FEATURE,
    END,
    EXTERNAL_FEATURE,
    Peer,
)

SECOND = DomainPair(VERONA, CAPULET)
LEAR = "lear.example"
NO_ROOM = (
    f"<db:result from='{CAPULET}' to='{MONTAGUE}' type='error'><error type='wait'>"
    "<resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>"
)
UNKNOWN = (
    f"<db:result from='{CAPULET}' to='{VERONA}' type='error'><error type='cancel'>"
    "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>"
)


def failures(caller: Caller) -> list[DialFailed]:
    return [frame for _, frame in caller.told if isinstance(frame, DialFailed)]


async def fail(caller: Caller, pair: DomainPair = PAIR) -> DialFailed:
    """Dial, and wait until this dial has failed."""
    before = len(failures(caller))
    caller.dialer.dial(pair)
    await caller.until(lambda: len(failures(caller)) > before)
    return failures(caller)[-1]


# --- the same target in another way ---


@pytest.mark.scenario(20)
async def test_a_peer_that_dies_of_bidi_gets_none(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    wire = await greet(capulet, BIDI_FEATURE)
    await wire.until("<bidi")
    await wire.send(stream_error("not-authorized"))
    wire = await greet(capulet, BIDI_FEATURE)
    assert "<bidi" not in await wire.until("</db:result>")
    await wire.send(result("valid"))
    await caller.authorised()
    assert caller.approaches == [Approach(), Approach(bidi=False)]
    await caller.until(lambda: caller.memory.recall(CAPULET, Fact.BIDI) == "kills")


async def test_what_was_learned_is_not_tried_again(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    caller.memory.learn(CAPULET, Fact.BIDI, "kills")
    caller.dialer.dial(PAIR)
    await admit(capulet)
    await caller.authorised()
    assert caller.approaches == [Approach(bidi=False)]


async def test_what_is_known_may_have_changed(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    caller.memory.learn(CAPULET, Fact.BIDI, "kills")
    caller.dialer.dial(PAIR)
    wire = await greet(capulet)
    await wire.send(stream_error("internal-server-error"))
    await admit(capulet)
    await caller.authorised()
    assert caller.approaches == [Approach(bidi=False), Approach()]


@pytest.mark.clause("DBK-22")
async def test_a_peer_without_room_is_asked_once_more(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    for _ in range(2):
        wire = await greet(capulet)
        await wire.until("</db:result>")
        await wire.send(NO_ROOM)
    assert (await caller.failed()).condition == "remote-server-timeout"
    assert len(caller.connections) == 2


@pytest.mark.clause("SAS-09")
@pytest.mark.scenario(41)
async def test_external_refused_and_the_stream_closed_then_dialback_on_a_new_one(
    caller: Caller, capulet: Peer
) -> None:
    caller.has_certificate = True
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    wire = await capulet.greet(EXTERNAL_FEATURE)
    await wire.until("</auth>")
    await wire.send(
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>"
        "</stream:stream>"
    )
    wire = await capulet.greet(EXTERNAL_FEATURE, DIALBACK_FEATURE)
    assert "<auth" not in await wire.until("</db:result>")
    await wire.send(result("valid"))
    await caller.authorised()
    await caller.until(lambda: caller.memory.recall(CAPULET, Fact.EXTERNAL, MONTAGUE) == "refused")


# --- back-off ---


@pytest.mark.clause("DNS-07")
async def test_a_domain_that_fails_again_and_again_is_left_alone_and_bounced_alike(
    caller: Caller, capulet: Peer
) -> None:
    caller.targets(capulet.port)
    for _ in range(FREE + 1):
        caller.dialer.dial(PAIR)
        wire = await greet(capulet)
        await wire.send(stream_error("policy-violation"))
        await caller.until(lambda: not caller.under_way())
    assert set(failures(caller)) == {await fail(caller)}
    assert len(caller.connections) == FREE + 1


@pytest.mark.clause("DNS-07")
async def test_all_pairs_of_a_dead_target_share_its_back_off(caller: Caller) -> None:
    caller.targets(CLOSED_PORT)
    caller.targets(CLOSED_PORT, domain=LEAR)
    for _ in range(FREE + 1):
        await fail(caller)
    other = await fail(caller, DomainPair(MONTAGUE, LEAR))
    assert other.condition == "remote-server-timeout"
    notes = caller.history.rows(MONTAGUE, LEAR)
    assert [note["what"] for note in notes] == ["dns", "dial_failed"]  # and no connect


async def test_a_domain_that_speaks_to_us_is_tried_at_once(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    for _ in range(FREE + 1):
        caller.dialer.dial(DomainPair(MONTAGUE, CAPULET))
        wire = await greet(capulet)
        await wire.send(stream_error("host-unknown"))
        await caller.until(lambda: not caller.under_way())
    caller.dialer.heard_from(CAPULET)
    caller.dialer.dial(SECOND)
    await greet(capulet)


@pytest.mark.clause("DBK-17")
async def test_a_key_for_a_domain_that_is_left_alone(caller: Caller) -> None:
    caller.targets(CLOSED_PORT)
    for _ in range(FREE + 1):
        await fail(caller)
    caller.dialer.verify(ask())
    assert await caller.verdict() == "remote-connection-failed"


# --- a stream that is open already ---


async def shared(caller: Caller, capulet: Peer, pair: DomainPair) -> None:
    """Our first pair stands; then the other one is dialled."""
    caller.memory.learn(CAPULET, Fact.MULTIPLEX, "works")
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    wire = await admit(capulet)
    await caller.authorised()
    caller.targets(capulet.port, domain=pair.target)
    caller.dialer.dial(pair)
    await wire.until(f'<db:result from="{pair.sender}" to="{pair.target}">')
    await wire.until("</db:result>")
    answer = f"<db:result from='{pair.target}' to='{pair.sender}' type='valid'/>"
    await wire.send(answer)


@pytest.mark.clause("DBK-26", "DBK-27")
@pytest.mark.parametrize("pair", [SECOND, DomainPair(MONTAGUE, LEAR)])
async def test_a_further_pair_takes_the_open_stream(
    caller: Caller, capulet: Peer, pair: DomainPair
) -> None:
    await shared(caller, capulet, pair)
    (connection,) = caller.connections
    await caller.until(lambda: connection.may_send(pair))
    assert not caller.under_way()
    await caller.until(lambda: caller.memory.recall(CAPULET, Fact.MULTIPLEX) == "works")
    caller.dialer.dial(pair)  # a worker that does not know of it
    granted = [frame for _, frame in caller.told if isinstance(frame, Granted)]
    assert granted == [Granted(connection.number, pair, True, "dialback")]


@pytest.mark.clause("DBK-27", "BIDI-20")
async def test_a_target_elsewhere_gets_a_connection_of_its_own(
    caller: Caller, capulet: Peer, second: Peer
) -> None:
    caller.memory.learn(CAPULET, Fact.MULTIPLEX, "works")
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    await admit(capulet)
    await caller.authorised()
    caller.targets(second.port, domain=LEAR)
    caller.dialer.dial(DomainPair(MONTAGUE, LEAR))
    await second.accepted()
    await caller.until(lambda: len(caller.connections) == 2)


@pytest.mark.scenario(27)
async def test_refused_there_then_a_connection_of_its_own(caller: Caller, capulet: Peer) -> None:
    caller.memory.learn(CAPULET, Fact.MULTIPLEX, "works")
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    wire = await admit(capulet)
    await caller.authorised()
    caller.dialer.dial(SECOND)
    await wire.until(f'<db:result from="{VERONA}"')
    await wire.send(UNKNOWN)
    await greet(capulet)
    assert caller.connections[0].may_send(PAIR)
    await caller.until(lambda: len(caller.connections) == 2)


@pytest.mark.scenario(5)
async def test_a_peer_that_closes_over_it_is_not_asked_again(caller: Caller, capulet: Peer) -> None:
    caller.memory.learn(CAPULET, Fact.MULTIPLEX, "works")
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    wire = await admit(capulet)
    await caller.authorised()
    caller.dialer.dial(SECOND)
    await wire.until(f'<db:result from="{VERONA}"')
    await wire.send(stream_error("unsupported-stanza-type"))
    await greet(capulet)
    assert caller.memory.recall(CAPULET, Fact.MULTIPLEX) == "refused"


async def test_no_key_is_asked_about_on_a_stream_to_another_domain(
    caller: Caller, capulet: Peer, second: Peer
) -> None:
    caller.targets(capulet.port, domain=LEAR)
    caller.dialer.dial(DomainPair(MONTAGUE, LEAR))
    await capulet.accepted()
    caller.targets(second.port)
    caller.dialer.verify(ask())
    await second.accepted()


@pytest.mark.clause("DBK-09")
async def test_a_key_is_asked_about_on_another_pair_s_stream_to_its_domain(
    caller: Caller, capulet: Peer
) -> None:
    caller.targets(capulet.port)
    caller.dialer.dial(SECOND)
    wire = await greet(capulet)
    await wire.until("</db:result>")
    caller.dialer.verify(ask())
    await wire.until("<db:verify")
    assert len(caller.connections) == 1


async def test_a_denied_domain_is_not_even_looked_up(caller: Caller) -> None:
    caller.config = Config(dial=Dial(), peers={CAPULET: PeerConfig(deny=True)})
    assert (await fail(caller)).type == "cancel"
    assert [note["what"] for note in caller.history.rows(*PAIR)] == ["dial_failed"]


async def test_a_target_that_may_not_be_dialled(caller: Caller) -> None:
    caller.config = Config()
    caller.resolver.targets_of[CAPULET] = (Target(HOST, 5269, "starttls"),)
    caller.resolver.addresses_of[HOST] = (HOST,)
    assert "no address that may be dialled" in (await fail(caller)).text


@pytest.mark.clause("DBK-21")
async def test_a_stream_on_which_nothing_was_proved_is_closed_in_order(
    caller: Caller, capulet: Peer
) -> None:
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    wire = await greet(capulet)
    await wire.until("</db:result>")
    await wire.send(result("error"))
    await wire.until(END)


async def test_a_key_still_asked_about_keeps_it_open(caller: Caller, capulet: Peer) -> None:
    caller.targets(capulet.port)
    caller.dialer.dial(PAIR)
    wire = await greet(capulet)
    await wire.until("</db:result>")
    caller.dialer.verify(ask())
    await wire.until("<db:verify")
    await wire.send(result("error"))
    await caller.failed()
    await wire.send(verified("valid"))
    assert await caller.verdict() == "valid"
