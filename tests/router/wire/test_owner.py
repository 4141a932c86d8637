"""Retention: every run is kept until its outcome is known, whatever happens on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.frames import Data, Progress, Reject, Returned, StreamId
from router.wire.owner import DOUBTFUL, Lane, Owner
from router.wire.shard import SHARDS
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts

PAIR = DomainPair("capulet.example", "montague.example")
ONE = Counts(1, 0, 0)


def owner_with_runs(*sizes: int) -> tuple[Owner, Lane, list[Data]]:
    owner = Owner([7] * SHARDS)
    lane = owner.open(PAIR, stream=3)
    frames = [owner.append(lane, Counts(size, 0, 0), b"<message/>" * size) for size in sizes]
    return owner, lane, frames


def progress(lane: Lane, took: int, done: int, epoch: int = 1, stream: int = 9) -> Progress:
    return Progress(lane.number, epoch, stream, took, done, "tcp")


def test_runs_are_numbered_by_stanza_without_gaps():
    _, lane, frames = owner_with_runs(3, 1, 2)
    assert [(f.first, f.counts.total) for f in frames] == [(1, 3), (4, 1), (5, 2)]
    assert {(f.lane, f.epoch, f.generation, f.egress) for f in frames} == {
        (lane.number, 1, 7, None)
    }


def test_done_frees_whole_runs_only():
    owner, lane, _ = owner_with_runs(3, 2)
    assert owner.progress("a1.1", progress(lane, took=5, done=2)).resolved == ()
    (resolved,) = owner.progress("a1.1", progress(lane, took=5, done=4)).resolved
    assert [(run.first, run.last) for run in resolved.runs] == [(1, 3)]
    assert resolved.error is None
    assert (owner.in_flight(), owner.kept_bytes()) == (2, 20)


def test_a_rejected_run_leaves_the_rest_in_place():
    owner, lane, _ = owner_with_runs(1, 2, 1)
    reject = Reject(lane.number, 1, 2, 2, "resource-constraint", "wait", "full")
    (resolved,) = owner.rejected(reject).resolved
    assert resolved.error == StanzaError("resource-constraint", "wait", "full")
    assert [run.first for run in resolved.runs] == [2]
    assert owner.rejected(reject).resolved == ()
    (resolved,) = owner.progress("a1.1", progress(lane, took=4, done=4)).resolved
    assert [run.first for run in resolved.runs] == [1, 4]


@pytest.mark.clause("LIM-03")
def test_a_rejected_part_of_a_run_leaves_the_rest_in_place_and_in_order():
    owner = Owner([7] * SHARDS)
    lane = owner.open(PAIR, stream=3)
    kinds = ("message", "iq", "message", "presence", "iq")
    stanzas = [f"<{kind} id='{n}'/>".encode() for n, kind in enumerate(kinds, 1)]
    owner.append(lane, Counts(2, 1, 2), b"".join(stanzas))
    owner.append(lane, ONE, b"<message/>")
    (resolved,) = owner.rejected(Reject(lane.number, 1, 2, 2, "gone", "wait", "")).resolved
    (middle,) = resolved.runs
    assert (middle.first, middle.last, middle.counts) == (2, 3, Counts(1, 0, 1))
    assert middle.octets == b"".join(stanzas[1:3])
    assert owner.rejected(Reject(lane.number, 1, 2, 2, "gone", "wait", "")).resolved == ()
    kept_bytes = len(b"".join([stanzas[0], *stanzas[3:]])) + len(b"<message/>")
    assert (owner.in_flight(), owner.kept_bytes()) == (4, kept_bytes)
    again = owner.returned(Returned(lane.number, 1, 1, 0)).again
    assert [(f.first, f.counts.total, f.octets) for f in again] == [
        (1, 1, stanzas[0]),
        (4, 2, b"".join(stanzas[3:])),
        (6, 1, b"<message/>"),
    ]
    (resolved,) = owner.progress("a1.1", progress(lane, 6, 6, epoch=2)).resolved
    assert [run.first for run in resolved.runs] == [1, 4, 6]
    assert (owner.in_flight(), owner.kept_bytes()) == (0, 0)


def test_a_reject_of_an_epoch_before_changes_nothing():
    owner, lane, _ = owner_with_runs(1)
    owner.returned(Returned(lane.number, 1, 1, 0))
    assert owner.rejected(Reject(lane.number, 1, 1, 1, "gone", "wait", "")).resolved == ()
    assert owner.in_flight() == 1


def test_a_return_bounces_the_doubtful_and_sends_the_rest_in_a_new_epoch():
    owner, lane, _ = owner_with_runs(1, 1, 1, 1)
    owner.progress("a1.1", progress(lane, took=3, done=1))
    answer = owner.returned(Returned(lane.number, 1, first=2, doubt=3))
    (resolved,) = answer.resolved
    assert resolved.error == DOUBTFUL
    assert [run.first for run in resolved.runs] == [2, 3]
    assert [(f.first, f.epoch, f.egress) for f in answer.again] == [(4, 2, None)]


def test_a_return_of_a_past_epoch_changes_nothing():
    owner, lane, _ = owner_with_runs(1)
    owner.returned(Returned(lane.number, 1, 1, 0))
    answer = owner.returned(Returned(lane.number, 1, 1, 1))
    assert (answer.resolved, answer.again) == ((), ())
    assert owner.in_flight() == 1


def test_a_new_shard_owner_gets_what_nobody_took_with_the_stream_it_went_to():
    owner, lane, _ = owner_with_runs(1, 1, 1)
    owner.progress("a1.1", progress(lane, took=2, done=1))
    assert list(owner.replay({(lane.shard + 1) % SHARDS})) == []
    (again,) = owner.replay({lane.shard})
    assert (again.first, again.epoch, again.egress) == (3, 1, StreamId("a1.1", 9))


def test_the_death_of_the_egress_acceptor_leaves_only_what_it_took_in_doubt():
    owner, lane, _ = owner_with_runs(1, 1, 1)
    owner.progress("a1.1", progress(lane, took=2, done=1))
    assert list(owner.acceptor_gone("a1.1", {(lane.shard + 1) % SHARDS})) == []
    (answer,) = owner.acceptor_gone("a1.1", {lane.shard})
    assert [run.first for resolved in answer.resolved for run in resolved.runs] == [2]
    assert [(f.first, f.epoch) for f in answer.again] == [(3, 2)]
    assert owner.in_flight() == 1


def test_a_lane_ends_when_its_stream_is_gone_and_all_is_resolved():
    owner, lane, _ = owner_with_runs(1)
    assert owner.close(lane) is False
    owner.progress("a1.1", progress(lane, took=1, done=1))
    assert owner.progress("a1.1", progress(lane, took=1, done=1)).resolved == ()
    assert owner.close(owner.open(PAIR, 3)) is True


def test_what_we_made_ourselves_is_pending_but_not_in_flight():
    owner = Owner([0] * SHARDS)
    owner.append(owner.open(PAIR, None), ONE, b"<message type='error'/>")
    assert (owner.pending(), owner.in_flight()) == (1, 0)


@given(st.lists(st.tuples(st.sampled_from("adrtx"), st.integers(0, 12), st.integers(0, 12))))
def test_every_stanza_is_resolved_once_or_still_kept(steps):
    """Whatever reports come, in whatever order: nothing vanishes, nothing is resolved twice."""
    owner = Owner([0] * SHARDS)
    lane = owner.open(PAIR, 1)
    sent, resolved = 0, []
    for kind, low, high in steps:
        if kind == "a":
            owner.append(lane, Counts(1 + low % 3, 0, 0), b"<message/>" * (1 + low % 3))
            sent += 1 + low % 3
            continue
        if kind == "d":
            answer = owner.progress("a1.1", progress(lane, high, min(low, high), lane.epoch))
        elif kind == "r":
            answer = owner.rejected(Reject(lane.number, lane.epoch, low, high, "gone", "wait", ""))
        elif kind == "t":
            answer = owner.returned(Returned(lane.number, lane.epoch, low, high))
        else:
            answer = next(owner.acceptor_gone("a1.1", {lane.shard}), None)
        for each in answer.resolved if answer is not None else ():
            for run in each.runs:
                resolved += range(run.first, run.last + 1)
    kept = [n for run in lane.kept for n in range(run.first, run.last + 1)]
    assert sorted(resolved + kept) == list(range(1, sent + 1))
    assert lane.kept_stanzas == len(kept)
    assert lane.kept_bytes == 10 * len(kept)
