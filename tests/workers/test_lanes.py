"""One stream an epoch, the end of epochs with their stream, and the bound on records."""

from router.wire.frames import StreamId
from router.wire.shard import shard_of
from router.xmpp.pair import DomainPair
from workers.lanes import Lanes

PAIR = DomainPair("montague.example", "capulet.example")
OTHER = DomainPair("verona.example", "capulet.example")
STREAM = StreamId("a1.1", 9)


def test_an_epoch_keeps_its_stream():
    lanes = Lanes()
    assert lanes.find(("a0.1", 1)) is None
    lanes.begin(("a0.1", 1), PAIR, 1)
    lanes.bind(("a0.1", 1), STREAM)
    epoch = lanes.find(("a0.1", 1))
    assert epoch is not None
    assert (epoch.number, epoch.stream, epoch.is_over) == (1, STREAM, False)


def test_only_the_revoked_pair_ends_on_a_stream_that_carries_several():
    lanes = Lanes()
    for lane, pair in ((1, PAIR), (2, OTHER)):
        lanes.begin(("a0.1", lane), pair, 1)
        lanes.bind(("a0.1", lane), STREAM)
    lanes.end(STREAM, PAIR)
    assert lanes.find(("a0.1", 1)).is_over
    assert not lanes.find(("a0.1", 2)).is_over
    lanes.end_attachment(STREAM)
    assert lanes.find(("a0.1", 2)).is_over


def test_a_new_epoch_is_not_bound_to_the_fate_of_the_old_stream():
    lanes = Lanes()
    lanes.begin(("a0.1", 1), PAIR, 1)
    lanes.bind(("a0.1", 1), STREAM)
    lanes.begin(("a0.1", 1), PAIR, 2)
    lanes.bind(("a0.1", 1), StreamId("a1.1", 10))
    lanes.end(STREAM, PAIR)
    assert not lanes.find(("a0.1", 1)).is_over


def test_an_acceptor_takes_its_lanes_and_its_streams_along():
    lanes = Lanes()
    for source, stream in (("a0.1", STREAM), ("a1.1", StreamId("a0.1", 3)), ("a2.1", STREAM)):
        lanes.begin((source, 1), PAIR, 1)
        lanes.bind((source, 1), stream)
    lanes.begin(("a0.1", 2), PAIR, 1)
    lanes.end(STREAM, PAIR)
    returned = lanes.acceptor_gone("a1.1")
    assert [key for key, _ in returned] == [("a0.1", 1), ("a2.1", 1)], "over or not"
    assert lanes.find(("a1.1", 1)) is None
    assert lanes.find(("a0.1", 1)).is_over
    assert lanes.find(("a2.1", 1)).is_over


def test_lanes_of_lost_shards_are_forgotten():
    lanes = Lanes()
    lanes.begin(("a0.1", 1), PAIR, 1)
    lanes.begin(("a0.1", 2), OTHER, 1)
    lanes.shards_lost({shard_of(*PAIR)})
    assert lanes.find(("a0.1", 1)) is None
    assert lanes.find(("a0.1", 2)) is not None


def test_the_record_unused_for_longest_makes_room():
    lanes = Lanes(max_lanes=3)
    for lane in (1, 2, 3):
        lanes.begin(("a0.1", lane), PAIR, 1)
        lanes.bind(("a0.1", lane), STREAM)
    lanes.find(("a0.1", 1))
    lanes.begin(("a0.1", 4), PAIR, 1)
    assert len(lanes) == 3
    assert lanes.find(("a0.1", 2)) is None
    assert lanes.find(("a0.1", 1)) is not None
    lanes.end(STREAM, PAIR)  # the forgotten record is not looked for
    assert lanes.find(("a0.1", 3)).is_over
