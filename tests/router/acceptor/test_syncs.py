"""Which questions about what was taken are still open."""

from router.acceptor.syncs import Syncs


def test_a_shard_is_complete_when_everybody_has_answered():
    syncs = Syncs()
    assert syncs.is_complete(3)
    number = syncs.begin([3, 4], ["a0.1", "a1.1"])
    assert not syncs.is_complete(3)
    assert syncs.is_complete(5)
    assert not syncs.answered("a0.1", number)
    assert not syncs.answered("a0.1", number)
    assert syncs.answered("a1.1", number)
    assert syncs.is_complete(3)


def test_only_the_answer_to_the_latest_question_counts():
    syncs = Syncs()
    first = syncs.begin([3], ["a0.1"])
    second = syncs.begin([3], ["a0.1"])
    syncs.answered("a0.1", first)
    assert not syncs.is_complete(3)
    syncs.answered("a0.1", second)
    assert syncs.is_complete(3)


def test_who_is_gone_need_not_answer():
    syncs = Syncs()
    number = syncs.begin([3], ["a0.1", "a1.1"])
    syncs.answered("a0.1", number)
    syncs.only(["a0.1"])
    assert syncs.is_complete(3)
    assert not syncs.answered("a1.1", number)
