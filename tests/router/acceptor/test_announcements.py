"""A worker hears of the streams, grants and attachments of its shards, and of no others."""

from router.acceptor.announcements import of_streams
from router.wire.frames import Attach, Attached, Granted
from router.wire.shard import SHARDS, shard_of
from router.xmpp.component import ComponentStream
from router.xmpp.e2e import InitiatorStream
from router.xmpp.e2e_ends import Ends
from router.xmpp.states import Phase
from tests.support.acceptors import wired
from tests.support.pump import MONTAGUE, NOW, PAIR, authenticated, policy

ALL = frozenset(range(SHARDS))


async def test_what_may_be_sent_is_told_to_the_worker_of_its_shard() -> None:
    both_ways, _ = wired(authenticated(bidi=True), number=4)
    one_way, _ = wired(authenticated(), number=5)
    granted = [Granted(4, PAIR, False, "external")]
    assert list(of_streams(ALL, {}, [both_ways, one_way])) == granted
    assert list(of_streams(frozenset({shard_of(*PAIR)}), {}, [both_ways])) == granted
    assert list(of_streams(ALL - {shard_of(*PAIR)}, {}, [both_ways])) == []


async def test_a_stream_that_closes_is_not_on_offer() -> None:
    connection, _ = wired(authenticated(bidi=True))
    connection.close()
    assert list(of_streams(ALL, {}, [connection])) == []


async def test_an_express_lane_is_told_of_as_such() -> None:
    ends = Ends("relay.montague.example", "relay.capulet.example", frozenset({PAIR}))
    core = InitiatorStream(policy(MONTAGUE, tls_required=False), lambda: "id", ends, NOW)
    connection, _ = wired(core, leg="e2e", number=9)
    connection.direction = "out"
    assert list(of_streams(ALL, {}, [connection])) == []
    core.phase = Phase.OPEN
    core.grants.send[PAIR] = "e2e"
    assert list(of_streams(ALL, {}, [connection])) == [Granted(9, PAIR, True, "e2e")]


async def test_every_worker_hears_who_is_attached_and_one_who_would_be() -> None:
    core = ComponentStream(policy(MONTAGUE), lambda: "3BF96D32", {MONTAGUE: "s3cr3t"}, NOW)
    connection, transport = wired(core, leg="component", number=7)
    transport.feed(
        f"<stream:stream xmlns='jabber:component:accept' to='{MONTAGUE}'"
        " xmlns:stream='http://etherx.jabber.org/streams'>"
        "<handshake>ba33290100f616a33656a931798d6c9011cfa840</handshake>"
    )
    assert list(of_streams(ALL, {}, [connection])) == [Attach(7, MONTAGUE, 7)]
    elsewhere = ALL - {shard_of(MONTAGUE, MONTAGUE)}
    assert list(of_streams(elsewhere, {}, [connection])) == []
    assert list(of_streams(frozenset(), {MONTAGUE: connection}, [])) == [Attached(MONTAGUE, 7)]
