"""Retention: every run is kept until its outcome is known, whatever happens on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.frames import Again, Data, Hold, Progress, Reject, Returned
from router.wire.handled import Handled
from router.wire.lane import Lane, Pace
from router.wire.leases import ANY_LEASE, Leases
from router.wire.owner import DOUBTFUL, POISON, Answer, Owner, Sending, Straight
from router.wire.shard import SHARDS
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from tests.support.acceptors import live_leases

PAIR = DomainPair("capulet.example", "montague.example")
ONE = Counts(1, 0, 0)


def owner_with_runs(*sizes: int) -> tuple[Owner, Lane, list[Data]]:
    owner = Owner("a0.1", live_leases(7))
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
    assert (owner.in_flight(), owner.kept_bytes) == (2, 20)


@pytest.mark.clause("SMX-08")
@pytest.mark.parametrize("resends", [False, True])
def test_a_run_handled_in_part_is_cut_when_its_stream_is_gone(resends):
    """What the peer has counted is handed over, what it has not is in doubt."""
    owner = Owner("a0.1", live_leases(7), resends=resends)
    lane = owner.open(PAIR, stream=3)
    owner.append(lane, Counts(4, 0, 0), b"<message/>" * 4)
    owner.append(lane, ONE, b"<message/>")
    owner.progress("a1.1", progress(lane, took=5, done=3))
    answer = owner.returned("a1.1", Returned(lane.number, 1, 4, 4))
    outcomes = [([(r.first, r.last) for r in each.runs], each.error) for each in answer.resolved]
    again = [(data.first, data.counts.total) for data in answer.again]
    if resends:
        assert outcomes == [([(1, 3)], None)]
        assert again == [(4, 1), (5, 1)]
    else:
        assert outcomes == [([(1, 3)], None), ([(4, 4)], DOUBTFUL)]
        assert again == [(5, 1)]


@pytest.mark.clause("SMX-05")
def test_the_parts_of_a_run_keep_its_ticket():
    owner, lane, _ = owner_with_runs(3)
    ticket = lane.kept[0].ticket = Handled().arrived(3, 0.0, lane, 3)
    owner.rejected("w0.1", Reject(lane.number, 1, 2, 1, "policy-violation", "modify", ""))
    assert [(run.first, run.ticket) for run in lane.kept] == [(1, ticket), (3, ticket)]


def test_a_rejected_run_leaves_the_rest_in_place():
    owner, lane, _ = owner_with_runs(1, 2, 1)
    reject = Reject(lane.number, 1, 2, 2, "resource-constraint", "wait", "full")
    (resolved,) = owner.rejected("w0.1", reject).resolved
    assert resolved.error == StanzaError("resource-constraint", "wait", "full")
    assert [run.first for run in resolved.runs] == [2]
    assert owner.rejected("w0.1", reject).resolved == ()
    (resolved,) = owner.progress("a1.1", progress(lane, took=4, done=4)).resolved
    assert [run.first for run in resolved.runs] == [1, 4]


@pytest.mark.clause("LIM-03")
def test_a_rejected_part_of_a_run_leaves_the_rest_in_place_and_in_order():
    owner = Owner("a0.1", live_leases(7))
    lane = owner.open(PAIR, stream=3)
    kinds = ("message", "iq", "message", "presence", "iq")
    stanzas = [f"<{kind} id='{n}'/>".encode() for n, kind in enumerate(kinds, 1)]
    owner.append(lane, Counts(2, 1, 2), b"".join(stanzas))
    owner.append(lane, ONE, b"<message/>")
    (resolved,) = owner.rejected("w0.1", Reject(lane.number, 1, 2, 2, "gone", "wait", "")).resolved
    (middle,) = resolved.runs
    assert (middle.first, middle.last, middle.counts) == (2, 3, Counts(1, 0, 1))
    assert middle.octets == b"".join(stanzas[1:3])
    assert owner.rejected("w0.1", Reject(lane.number, 1, 2, 2, "gone", "wait", "")).resolved == ()
    kept_bytes = len(b"".join([stanzas[0], *stanzas[3:]])) + len(b"<message/>")
    assert (owner.in_flight(), owner.kept_bytes) == (4, kept_bytes)
    again = owner.returned("a1.1", Returned(lane.number, 1, 1, 0)).again
    assert [(f.first, f.counts.total, f.octets) for f in again] == [
        (1, 1, stanzas[0]),
        (4, 2, b"".join(stanzas[3:])),
        (6, 1, b"<message/>"),
    ]
    (resolved,) = owner.progress("a1.1", progress(lane, 6, 6, epoch=2)).resolved
    assert [run.first for run in resolved.runs] == [1, 4, 6]
    assert (owner.in_flight(), owner.kept_bytes) == (0, 0)


def test_a_reject_of_an_epoch_before_changes_nothing():
    owner, lane, _ = owner_with_runs(1)
    owner.returned("a1.1", Returned(lane.number, 1, 1, 0))
    assert owner.rejected("w0.1", Reject(lane.number, 1, 1, 1, "gone", "wait", "")).resolved == ()
    assert owner.in_flight() == 1


def test_a_return_bounces_the_doubtful_and_sends_the_rest_in_a_new_epoch():
    owner, lane, _ = owner_with_runs(1, 1, 1, 1)
    owner.progress("a1.1", progress(lane, took=3, done=1))
    answer = owner.returned("a1.1", Returned(lane.number, 1, first=2, doubt=3))
    (resolved,) = answer.resolved
    assert resolved.error == DOUBTFUL
    assert [run.first for run in resolved.runs] == [2, 3]
    assert [(f.first, f.epoch, f.egress) for f in answer.again] == [(4, 2, None)]


def test_a_return_of_a_past_epoch_changes_nothing():
    owner, lane, _ = owner_with_runs(1)
    owner.returned("a1.1", Returned(lane.number, 1, 1, 0))
    answer = owner.returned("a1.1", Returned(lane.number, 1, 1, 1))
    assert (answer.resolved, answer.again) == ((), ())
    assert owner.in_flight() == 1


def test_a_new_shard_owner_gets_what_nobody_took():
    owner, lane, _ = owner_with_runs(1, 1)
    assert owner.replay({(lane.shard + 1) % SHARDS}) == Answer()
    again = owner.replay({lane.shard}).again
    assert [(data.first, data.epoch, data.egress) for data in again] == [(1, 1, None), (2, 1, None)]


# --- straight to the stream ---


def straight(*sendings: Sending | None) -> list[tuple[int, int]]:
    """(first, after) of each, all of them for stream 9 of a1.1."""
    frames = []
    for each in sendings:
        assert isinstance(each, Straight)
        assert each.acceptor == "a1.1"
        run = each.frame
        assert (run.owner, run.stream, run.generation) == ("a0.1", 9, ANY_LEASE)
        frames.append((run.first, run.after))
    return frames


def test_once_all_that_a_worker_was_sent_is_taken_the_rest_goes_straight_to_the_stream():
    owner, lane, _ = owner_with_runs(2)
    assert owner.progress("a1.1", progress(lane, took=2, done=0)) == Answer()
    first = owner.append(lane, Counts(3, 0, 0), b"<message/>" * 3)
    second = owner.append(lane, ONE, b"<message/>")
    assert straight(first, second) == [(3, 2), (6, 5)]


def test_nothing_overtakes_what_is_on_its_way_through_a_worker():
    owner, lane, _ = owner_with_runs(1, 1)
    assert owner.progress("a1.1", progress(lane, took=1, done=1)).again == ()
    assert owner.append(lane, ONE, b"<message/>") is None
    answer = owner.progress("a1.1", progress(lane, took=2, done=1))
    assert straight(*answer.again) == [(3, 2)]


def test_a_straight_way_needs_no_worker_and_none_may_judge_it():
    leases = live_leases(7)
    owner = Owner("a0.1", leases)
    lane = owner.open(PAIR, stream=3)
    owner.append(lane, ONE, b"<message/>")
    owner.progress("a1.1", progress(lane, took=1, done=0))
    leases.lease(lane.shard, "w1.1", 8)
    assert straight(owner.append(lane, ONE, b"<message/>")) == [(2, 1)]
    owner.crashed({lane.shard})
    assert _live(owner, leases, lane) == []
    assert not owner.is_trial_due()
    assert owner.rejected("w1.1", Reject(lane.number, 1, 2, 1, "gone", "wait", "")) == Answer()
    assert owner.returned("w1.1", Returned(lane.number, 1, 1, 2)) == Answer()
    assert owner.in_flight() == 2


def test_a_new_worker_is_not_needed_for_what_has_a_stream():
    leases = live_leases(7)
    owner = Owner("a0.1", leases)
    lane = owner.open(PAIR, stream=3)
    for _ in range(3):
        owner.append(lane, ONE, b"<message/>")
    leases.lease(lane.shard, "w1.1", 8)
    owner.progress("a1.1", progress(lane, took=2, done=1))
    assert straight(*_live(owner, leases, lane)) == [(3, 2)]


def test_the_next_epoch_begins_with_a_worker():
    owner, lane, _ = owner_with_runs(1)
    owner.progress("a1.1", progress(lane, took=1, done=1))
    owner.append(lane, ONE, b"<message/>")
    (again,) = owner.returned("a1.1", Returned(lane.number, 1, 2, 1)).again
    assert isinstance(again, Data)
    assert (again.first, again.epoch, again.egress) == (2, 2, None)


@pytest.mark.parametrize("is_told", [True, False])
def test_all_that_went_straight_to_an_acceptor_that_died_is_in_doubt_and_no_more_goes(
    is_told,
):
    leases = live_leases(7)
    owner = Owner("a0.1", leases)
    lane = owner.open(PAIR, stream=3)
    owner.append(lane, ONE, b"<message/>")
    owner.progress("a1.1", progress(lane, took=1, done=1))
    owner.append(lane, ONE, b"<message/>")
    leases.acceptors.discard("a1.1")
    assert owner.append(lane, ONE, b"<message/>") is None
    (answer,) = owner.lost("a1.1", {lane.shard}, is_told=is_told)
    assert [run.first for each in answer.resolved for run in each.runs] == [2]
    assert [(data.first, data.epoch) for data in answer.again] == [(3, 2)]


def test_a_lane_waits_for_an_acceptor_that_is_not_here_yet():
    """Its reports may be here before the supervisor's word."""
    leases = live_leases(7)
    leases.acceptors.discard("a1.1")
    owner = Owner("a0.1", leases)
    lane = owner.open(PAIR, stream=3)
    owner.append(lane, ONE, b"<message/>")
    owner.progress("a1.1", progress(lane, took=1, done=1))
    assert owner.append(lane, ONE, b"<message/>") is None
    assert list(owner.go_on()) == []
    leases.acceptors.add("a1.1")
    assert straight(*owner.go_on()) == [(2, 1)]
    assert list(owner.go_on()) == []


def test_what_was_dropped_goes_straight_again():
    owner, lane, _ = owner_with_runs(1)
    owner.progress("a1.1", progress(lane, took=1, done=1))
    for _ in range(3):
        owner.append(lane, ONE, b"<message/>")
    owner.hold(Hold(lane.number, 1, True))
    answer = owner.again(Again(lane.number, 1, 2, 10, is_short=True))
    assert straight(*answer.again) == [(3, 2)]
    assert owner.append(lane, ONE, b"<message/>") is None
    answer = owner.again(Again(lane.number, 1, 3, 0, is_short=False))
    assert straight(*answer.again) == [(4, 3), (5, 4)]


# --- acceptors that die ---


def test_what_a_worker_had_forwarded_to_an_acceptor_that_died_is_in_doubt():
    owner, lane, _ = owner_with_runs(1, 1, 1, 1)
    owner.progress("a1.1", progress(lane, took=2, done=1))
    answer = owner.returned("w0.1", Returned(lane.number, 1, 0, 3))
    assert [run.first for resolved in answer.resolved for run in resolved.runs] == [2, 3]
    assert [(f.first, f.epoch) for f in answer.again] == [(4, 2)]
    assert owner.in_flight() == 1


def test_a_worker_knows_not_what_was_taken_from_the_one_before_it():
    owner, lane, _ = owner_with_runs(1, 1)
    owner.progress("a1.1", progress(lane, took=1, done=0))
    answer = owner.returned("w0.1", Returned(lane.number, 1, 0, 0))
    assert [run.first for resolved in answer.resolved for run in resolved.runs] == [1]
    assert [f.first for f in answer.again] == [2]


@pytest.mark.parametrize(("is_told", "doubtful"), [(True, [2]), (False, [2, 3])])
def test_what_is_in_doubt_when_the_worker_returned_nothing_or_died_as_well(is_told, doubtful):
    leases = live_leases(7)
    owner = Owner("a0.1", leases)
    lane = owner.open(PAIR, stream=3)
    for _ in range(3):
        owner.append(lane, ONE, b"<message/>")
    leases.live[lane.shard] = False
    owner.append(lane, ONE, b"<message/>")
    owner.progress("a1.1", progress(lane, took=2, done=1))
    others = set(range(SHARDS)) - {lane.shard}
    assert list(owner.lost("a1.1", others, is_told=is_told)) == []
    assert list(owner.lost("a9.1", {lane.shard}, is_told=is_told)) == []
    (answer,) = owner.lost("a1.1", {lane.shard}, is_told=is_told)
    assert [run.first for resolved in answer.resolved for run in resolved.runs] == doubtful
    assert answer.again == (), "the shard has no worker yet"
    assert (lane.epoch, lane.egress) == (2, None)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_lane_that_went_nobody_knows_where_is_in_doubt_only_when_nobody_can_tell(is_told):
    owner, lane, _ = owner_with_runs(1, 2)
    answers = list(owner.lost("a1.1", {lane.shard}, is_told=is_told))
    bounced = [run.first for a in answers for each in a.resolved for run in each.runs]
    assert bounced == ([] if is_told else [1, 2])


def test_all_that_was_ever_sent_in_an_epoch_is_in_doubt_not_only_what_was_sent_last():
    owner, lane, _ = owner_with_runs(1, 1, 1, 1)
    owner.hold(Hold(lane.number, 1, True))
    owner.again(Again(lane.number, 1, 1, 5, is_short=True))
    assert (lane.sent, lane.reached) == (2, 4)
    (answer,) = owner.lost("a1.1", {lane.shard}, is_told=False)
    assert [run.first for each in answer.resolved for run in each.runs] == [1, 2, 3, 4]


def test_what_is_in_doubt_is_sent_again_where_that_is_wanted():
    owner = Owner("a0.1", live_leases(7), resends=True)
    lane = owner.open(PAIR, stream=3)
    for _ in range(3):
        owner.append(lane, ONE, b"<message/>")
    owner.progress("a1.1", progress(lane, took=3, done=1))
    answer = owner.returned("a1.1", Returned(lane.number, 1, 2, 3))
    assert answer.resolved == ()
    assert [(f.first, f.epoch) for f in answer.again] == [(2, 2), (3, 2)]


@pytest.mark.parametrize("source", ["w0.1", "w9.1"])
def test_a_worker_judges_only_under_the_lease_by_which_it_got_the_run(source):
    leases = live_leases(7)
    owner = Owner("a0.1", leases)
    lane = owner.open(PAIR, stream=3)
    owner.append(lane, ONE, b"<message/>")
    leases.lease(lane.shard, "w0.1", 8)
    assert owner.rejected(source, Reject(lane.number, 1, 1, 1, "gone", "wait", "")).resolved == ()
    assert owner.returned(source, Returned(lane.number, 1, 1, 1)).resolved == ()
    assert owner.in_flight() == 1
    (again,) = _live(owner, leases, lane)
    assert (again.first, again.generation, again.epoch) == (1, 8, 1)
    answer = owner.rejected(source, Reject(lane.number, 1, 1, 1, "gone", "wait", ""))
    assert bool(answer.resolved) is (source == "w0.1")


def _live(owner: Owner, leases: Leases, lane: Lane) -> list[Data]:
    leases.live[lane.shard] = True
    return list(owner.replay({lane.shard}).again)


def test_without_a_live_worker_runs_wait_in_order():
    leases = live_leases(7)
    owner = Owner("a0.1", leases)
    lane = owner.open(PAIR, stream=3)
    leases.lease(lane.shard, "w1.1", 8)
    assert owner.append(lane, ONE, b"<message/>") is None
    assert owner.append(lane, ONE, b"<iq/>") is None
    assert [f.first for f in _live(owner, leases, lane)] == [1, 2]
    data = owner.append(lane, ONE, b"<iq/>")
    assert data is not None
    assert data.first == 3


def test_a_lane_on_hold_waits_and_goes_on_where_it_is_told():
    owner, lane, _ = owner_with_runs(1, 1)
    assert owner.hold(Hold(lane.number, 1, True)) is lane
    assert lane.pace is Pace.SLOW
    assert owner.append(lane, ONE, b"<message/>") is None
    answer = owner.again(Again(lane.number, 1, 1, 0, is_short=True))
    assert [f.first for f in answer.again] == [2, 3]
    assert (lane.pace, lane.took) == (Pace.FREE, 1)


def test_a_credit_is_used_up_by_runs_and_is_not_added_to():
    owner, lane, _ = owner_with_runs(1)
    owner.hold(Hold(lane.number, 1, False))
    assert lane.pace is Pace.STUCK
    for _ in range(4):
        assert owner.append(lane, ONE, b"<message/>") is None
    assert [f.first for f in owner.again(Again(lane.number, 1, 1, 11, is_short=True)).again] == [
        2,
        3,
    ]
    assert owner.append(lane, ONE, b"<message/>") is None
    assert [f.first for f in owner.again(Again(lane.number, 1, 1, 11, is_short=True)).again] == [
        2,
        3,
    ]
    assert [f.first for f in owner.again(Again(lane.number, 1, 3, 11, is_short=True)).again] == [
        4,
        5,
    ]


def test_what_is_on_its_way_is_not_sent_again():
    owner, lane, _ = owner_with_runs(1, 1)
    owner.hold(Hold(lane.number, 1, True))
    owner.append(lane, ONE, b"<message/>")
    answer = owner.again(Again(lane.number, 1, 1, 0, is_short=False))
    assert [f.first for f in answer.again] == [3]


def test_a_hold_of_an_epoch_before_holds_nobody():
    owner, lane, _ = owner_with_runs(1)
    owner.returned("a1.1", Returned(lane.number, 1, 1, 0))
    assert owner.hold(Hold(lane.number, 1, True)) is None
    assert owner.again(Again(lane.number, 1, 0, 0, is_short=True)).again == ()
    assert lane.pace is Pace.FREE


def test_a_new_epoch_is_not_on_hold():
    owner, lane, _ = owner_with_runs(1)
    owner.hold(Hold(lane.number, 1, False))
    answer = owner.returned("a1.1", Returned(lane.number, 1, 1, 0))
    assert [f.epoch for f in answer.again] == [2]
    assert lane.pace is Pace.FREE


def test_a_report_of_an_epoch_before_does_not_keep_what_follows():
    """Done is done, whatever the epoch; what comes afterwards is still sent."""
    owner = Owner("a0.1", live_leases(7), resends=True)
    lane = owner.open(PAIR, stream=3)
    owner.append(lane, ONE, b"<message/>")
    owner.hold(Hold(lane.number, 1, True))
    owner.append(lane, ONE, b"<message/>")
    owner.progress("a1.1", progress(lane, took=2, done=2))
    owner.again(Again(lane.number, 1, 2, 0, is_short=True))
    assert straight(owner.append(lane, ONE, b"<message/>")) == [(3, 2)]


def test_a_lane_ends_when_its_stream_is_gone_and_all_is_resolved():
    owner, lane, _ = owner_with_runs(1)
    assert owner.close(lane) is False
    owner.progress("a1.1", progress(lane, took=1, done=1))
    assert owner.progress("a1.1", progress(lane, took=1, done=1)).resolved == ()
    assert owner.close(owner.open(PAIR, 3)) is True


def test_what_we_made_ourselves_is_pending_but_not_in_flight():
    owner = Owner("a0.1", live_leases(0))
    owner.append(owner.open(PAIR, None), ONE, b"<message type='error'/>")
    assert (owner.pending(), owner.in_flight()) == (1, 0)


def stanzas(count: int, start: int = 1) -> bytes:
    return b"".join(f"<message id='{n}'/>".encode() for n in range(start, start + count))


def crash(owner: Owner, leases: Leases, lane: Lane) -> Answer:
    """The worker of the lane's shard crashes; the next one is told everything."""
    shard = lane.shard
    leases.lease(shard, "w1.1", leases.generations[shard] + 1)
    owner.crashed({shard})
    leases.live[shard] = True
    return owner.replay({shard})


def tried(owner: Owner) -> list[tuple[int, int]]:
    assert owner.is_trial_due()
    return [(data.first, data.counts.total) for data in owner.next_trial()]


def test_after_a_crash_what_nobody_took_is_tried_one_by_one_until_it_has_a_stream():
    leases = live_leases(7)
    owner = Owner("a0.1", leases)
    lane = owner.open(PAIR, stream=3)
    owner.append(lane, ONE, stanzas(1))
    owner.append(lane, Counts(2, 0, 0), stanzas(2, 2))
    assert crash(owner, leases, lane) == Answer()
    assert owner.append(lane, ONE, stanzas(1, 4)) is None
    assert tried(owner) == [(1, 1)]
    owner.rejected("w1.1", Reject(lane.number, 1, 1, 1, "gone", "wait", ""))
    assert tried(owner) == [(2, 1)]
    assert not owner.is_trial_due()
    answer = owner.progress("a1.1", progress(lane, took=2, done=1))
    assert straight(*answer.again) == [(3, 2), (4, 3)]
    assert tried(owner) == []
    assert owner.trial is None
    assert not owner.is_trial_due()


def test_what_follows_the_last_suspect_is_sent_as_ever():
    leases = live_leases(7)
    owner = Owner("a0.1", leases)
    lane = owner.open(PAIR, stream=3)
    owner.append(lane, ONE, stanzas(1))
    crash(owner, leases, lane)
    owner.append(lane, ONE, stanzas(1, 2))
    assert tried(owner) == [(1, 1)]
    owner.rejected("w1.1", Reject(lane.number, 1, 1, 1, "gone", "wait", ""))
    assert tried(owner) == [(2, 1)]
    assert owner.append(lane, ONE, stanzas(1, 3)) is not None


def test_who_was_on_trial_when_the_next_worker_crashed_is_bounced_and_the_rest_goes_on():
    leases = live_leases(7)
    owner = Owner("a0.1", leases)
    lane = owner.open(PAIR, stream=3)
    owner.append(lane, Counts(3, 0, 0), stanzas(3))
    crash(owner, leases, lane)
    assert tried(owner) == [(1, 1)]
    assert [data.first for data in owner.next_trial()] == [2], "it did no harm for long enough"
    (resolved,) = crash(owner, leases, lane).resolved
    assert (resolved.error, [run.first for run in resolved.runs]) == (POISON, [2])
    assert tried(owner) == [(1, 1)]
    owner.returned("w1.1", Returned(lane.number, 1, 1, 0))
    assert tried(owner) == [(1, 1)], "in its new epoch"
    answer = owner.progress("a1.1", progress(lane, took=1, done=1, epoch=2))
    assert straight(*answer.again) == [(3, 1)]
    owner.progress("a1.1", progress(lane, took=3, done=3, epoch=2))
    assert tried(owner) == []
    assert (owner.in_flight(), owner.kept_bytes) == (0, 0)


def test_who_was_taken_after_all_is_not_bounced():
    """Its worker had passed it on; the report was late, and it died of something else."""
    leases = live_leases(7)
    owner = Owner("a0.1", leases)
    lane = owner.open(PAIR, stream=3)
    owner.append(lane, ONE, stanzas(1))
    crash(owner, leases, lane)
    assert tried(owner) == [(1, 1)]
    leases.lease(lane.shard, "w2.1", 9)
    owner.crashed({lane.shard})
    owner.progress("a1.1", progress(lane, took=1, done=0))
    leases.live[lane.shard] = True
    assert owner.replay({lane.shard}) == Answer()
    assert owner.in_flight() == 1


def test_who_was_taken_after_all_is_accused_no_more():
    leases = live_leases(7)
    owner = Owner("a0.1", leases)
    lane = owner.open(PAIR, stream=3)
    owner.append(lane, Counts(2, 0, 0), stanzas(2))
    crash(owner, leases, lane)
    assert tried(owner) == [(1, 1)]
    leases.lease(lane.shard, "w2.1", 9)
    owner.crashed({lane.shard})
    owner.progress("a1.1", progress(lane, took=1, done=0))
    leases.live[lane.shard] = True
    assert owner.replay({lane.shard}) == Answer()
    owner.returned("a1.1", Returned(lane.number, 1, 1, 0))
    assert owner.replay({lane.shard}).resolved == ()
    assert owner.in_flight() == 2


@pytest.mark.parametrize("more", [0, 1])
def test_a_lane_goes_on_behind_a_stanza_that_was_bounced(more):
    leases = live_leases(7)
    owner = Owner("a0.1", leases)
    lane = owner.open(PAIR, stream=3)
    owner.append(lane, Counts(2 + more, 0, 0), stanzas(2 + more))
    crash(owner, leases, lane)
    assert tried(owner) == [(1, 1)]
    assert [data.first for data in owner.next_trial()] == [2], "the report on 1 is late"
    owner.progress("a1.1", progress(lane, took=1, done=1))
    answer = crash(owner, leases, lane)
    assert [(each.error, [run.first for run in each.runs]) for each in answer.resolved] == [
        (POISON, [2])
    ]
    assert straight(*answer.again) == [(3, 1)][:more]
    assert straight(owner.append(lane, ONE, stanzas(1, 9))) == [(3 + more, 3 if more else 1)]


def test_a_lane_goes_on_behind_a_stanza_that_a_worker_rejected():
    owner, lane, _ = owner_with_runs(1, 1)
    owner.progress("a1.1", progress(lane, took=1, done=1))
    assert owner.append(lane, ONE, b"<message/>") is None
    answer = owner.rejected("w0.1", Reject(lane.number, 1, 2, 1, "gone", "wait", ""))
    assert straight(*answer.again) == [(3, 1)]


def test_one_suspect_in_all_is_on_trial():
    leases = live_leases(7)
    owner = Owner("a0.1", leases)
    lanes = [owner.open(PAIR, stream=number) for number in (3, 4)]
    for lane in lanes:
        owner.append(lane, ONE, stanzas(1))
    crash(owner, leases, lanes[0])
    (first,) = owner.next_trial()
    assert not owner.is_trial_due()
    owner.returned("a1.1", Returned(first.lane, 1, 1, 0))
    assert owner.is_trial_due(), "it comes again in its new epoch"
    (again,) = owner.next_trial()
    assert (again.lane, again.epoch) == (first.lane, 2)
    owner.progress("a1.1", Progress(first.lane, 2, 9, 1, 1, "tcp"))
    (second,) = owner.next_trial()
    assert second.lane == lanes[1].number


def test_without_a_crash_nothing_is_tried():
    owner, lane, _ = owner_with_runs(2)
    assert not owner.is_trial_due()
    owner.crashed(set(range(SHARDS)) - {lane.shard})
    assert not owner.is_trial_due()


@given(st.lists(st.tuples(st.sampled_from("adrtx"), st.integers(0, 12), st.integers(0, 12))))
def test_every_stanza_is_resolved_once_or_still_kept(steps):
    """Whatever reports come, in whatever order: nothing vanishes, nothing is resolved twice."""
    owner = Owner("a0.1", live_leases(0))
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
            answer = owner.rejected(
                "w0.1", Reject(lane.number, lane.epoch, low, high, "gone", "wait", "")
            )
        elif kind == "t":
            answer = owner.returned("a1.1", Returned(lane.number, lane.epoch, low, high))
        else:
            told = high % 2 == 0
            answer = next(owner.lost("a1.1", {lane.shard}, is_told=told), None)
        for each in answer.resolved if answer is not None else ():
            for run in each.runs:
                resolved += range(run.first, run.last + 1)
    kept = [n for run in lane.kept for n in range(run.first, run.last + 1)]
    assert sorted(resolved + kept) == list(range(1, sent + 1))
    assert lane.kept_stanzas == len(kept)
    assert lane.kept_bytes == 10 * len(kept)
