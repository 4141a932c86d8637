"""Stream management between two cores in memory; what the wire says is in the transcripts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp import names
from router.xmpp.events import (
    Acknowledged,
    Event,
    ManagementEvent,
    NotResumed,
    ReceivedManaged,
    Resumed,
    ResumeRequested,
    RunReceived,
    SentManaged,
    StreamClosed,
)
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.receiving import ReceivingStream
from router.xmpp.s2s import ServerStream
from tests.support.pump import CAPULET, MONTAGUE, NOW, PAIR, Proves, ids, policy, pump, say

THEIRS = PAIR.inverse()
WRAP = 1 << 32
SM = f"xmlns='{names.STREAM_MANAGEMENT}'"


def stanza(pair: DomainPair) -> bytes:
    return f"<message from='a@{pair.sender}' to='b@{pair.target}'/>".encode()


class Joined:
    """A managed bidi stream between two cores; on each side a caller that handles what it likes."""

    def __init__(self, lost: tuple[str, int] = ("", 0), *, manages: bool = True) -> None:
        settings = {"stream_management": True, "resume_s": 30.0}
        self.ours = InitiatingStream(policy(MONTAGUE, **settings), ids(), PAIR, NOW)
        self.ours.lost = lost
        self.theirs = ReceivingStream(
            policy(CAPULET, **{**settings, "stream_management": manages}), ids("sm"), NOW
        )
        self.seen: dict[ServerStream, list[Event]] = {self.ours: [], self.theirs: []}
        self.ours.open()
        self.carry(a_sees=Proves(CAPULET), b_sees=Proves(MONTAGUE))

    def carry(self, **sees: Proves) -> None:
        """Let everything that is due arrive."""
        for core, seen in zip(self.seen, pump(self.ours, self.theirs, **sees), strict=True):
            self.seen[core] += seen

    def send(self, core: ServerStream, stanzas: int) -> None:
        pair = PAIR if core is self.ours else THEIRS
        core.send_run(pair, stanza(pair) * stanzas, stanzas)

    def arrived(self, core: ServerStream) -> int:
        """Stanzas that came since counting began."""
        events = self.seen[core]
        begin = max((i for i, e in enumerate(events) if isinstance(e, ReceivedManaged)), default=0)
        return sum(e.counts.total for e in events[begin:] if isinstance(e, RunReceived))

    def acknowledged(self, core: ServerStream) -> int:
        totals = [e.total for e in self.seen[core] if isinstance(e, Acknowledged)]
        assert totals == sorted(totals)
        return totals[-1] if totals else 0


@pytest.mark.clause("SMX-06")
def test_one_enable_manages_both_ways() -> None:
    joined = Joined()
    for core in joined.seen:
        managed = [e for e in joined.seen[core] if isinstance(e, ManagementEvent)]
        assert set(managed) == {SentManaged(), ReceivedManaged()}
    assert joined.ours.management.sm_id == joined.theirs.management.sm_id != ""


@pytest.mark.clause("SMX-01")
def test_who_does_not_offer_it_is_not_asked() -> None:
    joined = Joined(manages=False)
    assert not any(isinstance(e, ManagementEvent) for e in joined.seen[joined.ours])
    joined.send(joined.ours, 2)
    assert not joined.ours.request_ack()


Action = tuple[bool, str, int]
ACTIONS = st.lists(
    st.tuples(
        st.booleans(), st.sampled_from(["send", "handle", "ask", "carry"]), st.integers(1, 9)
    ),
    max_size=30,
)


@pytest.mark.clause("SMX-03", "SMX-04", "SMX-06")
@given(actions=ACTIONS, before=st.sampled_from([0, 1, WRAP - 5, WRAP - 1, 3 * WRAP + 2]))
def test_each_side_knows_what_the_other_has_handled(actions: list[Action], before: int) -> None:
    """Also where h wraps: the stream goes on from one on which `before` stanzas went each way."""
    joined = Joined(lost=("lost", before))
    theirs = joined.theirs
    (asked,) = [e for e in joined.seen[theirs] if isinstance(e, ResumeRequested)]
    assert asked == ResumeRequested("lost", before % WRAP)
    joined.seen[theirs] += theirs.answer_resume("lost", before, asked.received)
    joined.carry()
    handled = dict.fromkeys(joined.seen, 0)
    other: dict[ServerStream, ServerStream] = {joined.ours: theirs, theirs: joined.ours}
    for is_ours, what, count in [*actions, (True, "carry", 1)]:
        core: ServerStream = joined.ours if is_ours else theirs
        if what == "send":
            joined.send(core, count)
        elif what == "ask":
            core.request_ack()
        elif what == "carry":
            joined.carry()
        else:
            handled[core] = min(joined.arrived(core), handled[core] + count)
            core.handled(handled[core])
        for each, peer in other.items():
            assert joined.acknowledged(each) <= handled[peer]
    for core in other:
        core.handled(joined.arrived(core))
    for core in other:
        core.request_ack()
    joined.carry()
    for core, peer in other.items():
        assert joined.acknowledged(core) == joined.arrived(peer)
        assert not core.management.is_unacknowledged()
        assert not any(isinstance(e, StreamClosed) for e in joined.seen[core])


@pytest.mark.clause("SMX-04")
def test_one_answer_when_asked_and_one_when_it_is_done() -> None:
    joined = Joined()
    joined.send(joined.ours, 3)
    joined.ours.request_ack()
    joined.carry()
    assert joined.acknowledged(joined.ours) == 0
    joined.theirs.handled(2)
    joined.carry()
    assert joined.acknowledged(joined.ours) == 0  # it asked for three
    joined.theirs.handled(3)
    assert joined.theirs.bytes_to_send() == f'<a {SM} h="3"/>'.encode()
    joined.theirs.handled(3)
    assert joined.theirs.bytes_to_send() == b""


def test_a_flood_of_requests_is_answered_once_a_read() -> None:
    joined = Joined()
    _, answer = say(joined.theirs, f"<r {SM}/>" * 1000)
    assert answer == f'<a {SM} h="0"/>'


@pytest.mark.clause("SMX-09")
def test_what_is_sent_before_the_answer_to_a_resume_counts_behind_it() -> None:
    joined = Joined(lost=("lost", 7))
    joined.send(joined.ours, 2)
    joined.carry()
    events = joined.theirs.answer_resume("lost", 40, 7)
    assert events == [SentManaged()]
    joined.carry()
    assert Resumed("lost", 40) in joined.seen[joined.ours]
    joined.theirs.handled(2)
    joined.ours.request_ack()
    joined.carry()
    assert joined.acknowledged(joined.ours) == 2
    assert joined.theirs.management.total_received() == 42


def test_an_answer_to_a_resume_that_comes_after_the_end_changes_nothing() -> None:
    joined = Joined(lost=("lost", 7))
    joined.theirs.receive_eof(1.0)
    assert joined.theirs.answer_resume("lost", 40, 7) == []


@pytest.mark.clause("SMX-09")
def test_a_lost_stream_that_is_not_known_begins_anew() -> None:
    joined = Joined(lost=("lost", 7))
    joined.send(joined.ours, 2)
    joined.carry()
    joined.theirs.answer_resume("lost", None, 7)
    joined.carry()
    assert NotResumed("lost") in joined.seen[joined.ours]
    assert joined.ours.management.sm_id == joined.theirs.management.sm_id != "lost"
    joined.send(joined.ours, 1)
    joined.carry()
    assert joined.arrived(joined.theirs) == 1
    joined.theirs.handled(1)
    joined.ours.request_ack()
    joined.carry()
    assert joined.acknowledged(joined.ours) == 1


@pytest.mark.clause("SMX-09")
def test_another_stream_than_was_asked_for_is_none() -> None:
    joined = Joined(lost=("lost", 7))
    events, _ = say(joined.ours, f"<resumed {SM} previd='another' h='1'/>")
    (closed,) = [event for event in events if isinstance(event, StreamClosed)]
    assert closed.condition == "undefined-condition"
