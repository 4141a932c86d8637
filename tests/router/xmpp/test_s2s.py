"""Whole conversations between cores: two, or as many as dialback needs, joined in memory."""

from typing import TypeVar

import pytest

from router.xmpp.errors import MisuseError
from router.xmpp.events import (
    Event,
    Ignored,
    KeyAnswered,
    KeyReceived,
    PairAuthorised,
    RunReceived,
    StreamClosed,
)
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.policy import Policy
from router.xmpp.receiving import ReceivingStream
from router.xmpp.s2s import ServerStream
from tests.support.pump import (
    CAPULET,
    MONTAGUE,
    NOW,
    PAIR,
    Proves,
    authenticated,
    ids,
    inbound,
    policy,
    pump,
    say,
)

THEIRS = PAIR.inverse()
E = TypeVar("E", bound=Event)


def message(pair: DomainPair, body: str = "") -> bytes:
    return f"<message from='a@{pair.sender}' to='b@{pair.target}'>{body}</message>".encode()


def opened(settings: Policy, pair: DomainPair, **options: bool) -> InitiatingStream:
    core = InitiatingStream(settings, ids("out"), pair, NOW, **options)
    core.open()
    return core


def taking(settings: Policy, prefix: str = "in") -> ReceivingStream:
    return ReceivingStream(settings, ids(prefix), NOW)


def the(events: list[Event], kind: type[E]) -> E:
    """The one event of this kind."""
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def carry(here: ServerStream, there: ServerStream, pair: DomainPair) -> None:
    """A stanza of the pair goes over, and arrives as what it was."""
    octets = message(pair)
    here.send_run(pair, octets, 1)
    seen = dict(zip((here, there), pump(here, there), strict=True))
    run = the(seen[there], RunReceived)
    assert (run.pair, run.octets) == (pair, octets)


def both_ways(ours: ServerStream, theirs: ServerStream) -> None:
    carry(ours, theirs, PAIR)
    carry(theirs, ours, THEIRS)
    carry(ours, theirs, PAIR)


def mechanisms(events: list[Event]) -> list[str]:
    return [event.mechanism for event in events if isinstance(event, PairAuthorised)]


@pytest.mark.clause("BIDI-21", "BIDI-06", "SAS-07")
def test_external_and_bidi_make_one_connection_for_both_directions() -> None:
    ours, theirs = opened(policy(MONTAGUE), PAIR), taking(policy(CAPULET))
    seen, seen_there = pump(ours, theirs, a_sees=Proves(CAPULET), b_sees=Proves(MONTAGUE))
    assert mechanisms(seen) == mechanisms(seen_there) == ["external", "external"]
    assert ours.is_bidi
    assert theirs.is_bidi
    both_ways(ours, theirs)


@pytest.mark.clause("BIDI-12")
def test_external_without_bidi_is_one_way() -> None:
    ours = opened(policy(MONTAGUE), PAIR, wants_bidi=False)
    theirs = taking(policy(CAPULET))
    pump(ours, theirs, a_sees=Proves(CAPULET), b_sees=Proves(MONTAGUE))
    carry(ours, theirs, PAIR)
    with pytest.raises(MisuseError):
        theirs.send_run(THEIRS, message(THEIRS), 1)


@pytest.mark.clause("SAS-09", "DBK-09", "DBK-15", "BIDI-10")
@pytest.mark.parametrize("honest", [True, False])
def test_dialback_with_an_authoritative_server_that_saw_nothing(honest: bool) -> None:
    """The initiating server, the receiving server, and one that shares the former's secret."""
    secret = b"montague's" if honest else b"an impostor's"
    ours = opened(policy(MONTAGUE, secret=secret), PAIR, has_certificate=False)
    theirs = taking(policy(CAPULET))
    _, seen_there = pump(ours, theirs)
    asked = the(seen_there, KeyReceived)
    assert asked.pair == PAIR

    question = opened(policy(CAPULET), THEIRS, has_certificate=False, wants_bidi=False)
    authority = taking(policy(MONTAGUE, secret=b"montague's"), "authority")
    question.verify(PAIR, asked.stream_id, asked.key, NOW)
    seen, _ = pump(question, authority)
    answer = the(seen, KeyAnswered)
    assert (answer.pair, answer.stream_id) == (PAIR, asked.stream_id)
    assert answer.verdict == ("valid" if honest else "invalid")

    assert not ours.may_send(PAIR)
    assert not theirs.may_send(THEIRS)
    theirs.answer_key(PAIR, asked.stream_id, answer.verdict, NOW)
    seen, seen_there = pump(theirs, ours)
    if honest:
        both_ways(ours, theirs)
    else:
        assert not ours.may_send(PAIR)
        assert isinstance(seen[-1], StreamClosed)
        assert isinstance(seen_there[-1], StreamClosed)
    assert not question.grants.receive


@pytest.mark.clause("DBK-11", "DBK-10", "BIDI-18", "DBK-12")
@pytest.mark.parametrize("holds_question", [False, True])
def test_two_servers_that_verify_each_other_do_not_wait_for_each_other(
    holds_question: bool,
) -> None:
    """Each proves itself by dialback, on two connections; all three roles on both.

    With `holds_question` the peer asks about our key only once its own has been called valid, as
    Prosody does.
    """
    ours, theirs = opened(policy(MONTAGUE), PAIR, has_certificate=False), taking(policy(CAPULET))
    _, seen_there = pump(ours, theirs)
    our_key = the(seen_there, KeyReceived)

    back = opened(policy(CAPULET), THEIRS, has_certificate=False)
    back_here = taking(policy(MONTAGUE), "back")
    if not holds_question:
        back.verify(PAIR, our_key.stream_id, our_key.key, NOW)
    seen_back, seen_back_here = pump(back, back_here)
    their_key = the(seen_back_here, KeyReceived)
    if not holds_question:
        assert the(seen_back, KeyAnswered).verdict == "valid"

    # Our question goes on the stream that we opened and that is not authenticated yet.
    ours.verify(THEIRS, their_key.stream_id, their_key.key, NOW)
    seen, _ = pump(ours, theirs)
    answer = the(seen, KeyAnswered)
    back_here.answer_key(answer.pair, answer.stream_id, answer.verdict, NOW)
    pump(back, back_here)
    both_ways(back_here, back)

    if holds_question:
        back.verify(PAIR, our_key.stream_id, our_key.key, NOW)
        seen_back, _ = pump(back, back_here)
        assert the(seen_back, KeyAnswered).verdict == "valid"
    theirs.answer_key(PAIR, our_key.stream_id, "valid", NOW)
    pump(ours, theirs)
    both_ways(ours, theirs)


@pytest.mark.clause("BIDI-22")
def test_both_dial_at_once_and_each_stream_is_good_for_both_directions() -> None:
    ours, theirs = opened(policy(MONTAGUE), PAIR), taking(policy(CAPULET))
    back, back_here = opened(policy(CAPULET), THEIRS), taking(policy(MONTAGUE))
    pump(ours, theirs, a_sees=Proves(CAPULET), b_sees=Proves(MONTAGUE))
    pump(back, back_here, a_sees=Proves(MONTAGUE), b_sees=Proves(CAPULET))
    both_ways(ours, theirs)
    both_ways(back_here, back)
    both_ways(ours, theirs)


@pytest.mark.clause("DBK-12", "BIDI-17")
@pytest.mark.parametrize("honest", [True, False])
def test_the_peer_may_ask_about_a_key_on_the_stream_we_opened(honest: bool) -> None:
    settings = policy(MONTAGUE, secret=b"s")
    claimant = opened(
        settings if honest else policy(MONTAGUE, secret=b"t"), PAIR, has_certificate=False
    )
    asking = taking(policy(CAPULET), "claimed")
    key = the(pump(claimant, asking)[1], KeyReceived)

    ours, theirs = opened(settings, PAIR), taking(policy(CAPULET))
    pump(ours, theirs, a_sees=Proves(CAPULET), b_sees=Proves(MONTAGUE))
    _, answer = say(
        ours,
        f"<db:verify from='{CAPULET}' to='{MONTAGUE}' id='{key.stream_id}'>{key.key}</db:verify>",
    )
    verdict = "valid" if honest else "invalid"
    assert f'id="{key.stream_id}" type="{verdict}"' in answer


@pytest.mark.clause("BIDI-09", "BIDI-10")
def test_nothing_leaves_on_the_stream_of_another_peer_or_of_another_hosted_domain() -> None:
    settings = policy(MONTAGUE, "verona.example")
    peers = {}
    for remote in (CAPULET, "padua.example", "mantua.example"):
        core = inbound(settings, Proves(remote), sender=remote, bidi=True)
        say(core, f"<db:result from='{remote}' to='{MONTAGUE}'>k</db:result>")
        peers[remote] = core
    for sender in (MONTAGUE, "verona.example"):
        for remote in peers:
            pair = DomainPair(sender, remote)
            carriers = [name for name, core in peers.items() if core.may_send(pair)]
            assert carriers == ([remote] if sender == MONTAGUE else [])
            for name, core in peers.items():
                if name not in carriers:
                    with pytest.raises(MisuseError):
                        core.send_run(pair, message(pair), 1)
                    assert core.bytes_to_send() == b""


@pytest.mark.clause("STR-15", "BIDI-10")
def test_a_verdict_that_comes_while_we_close_authorises_nobody() -> None:
    core = authenticated(bidi=True)
    say(core, f"<db:result from='padua.example' to='{MONTAGUE}'>k</db:result>")
    stream_id = core.stream_id
    core.close(NOW)
    core.bytes_to_send()
    pair = DomainPair("padua.example", MONTAGUE)
    assert core.answer_key(pair, stream_id, "valid", NOW) == []
    assert core.bytes_to_send() == b""
    assert pair not in core.grants.receive


@pytest.mark.clause("STR-15", "BIDI-15")
def test_a_key_that_comes_while_we_close_is_not_taken() -> None:
    core = inbound(None, Proves(CAPULET), bidi=True)
    core.close(NOW)
    core.bytes_to_send()
    events, answer = say(core, f"<db:result from='{CAPULET}' to='{MONTAGUE}'>k</db:result>")
    assert [type(event) for event in events] == [Ignored]
    assert answer == ""
    assert not core.grants.proved()


@pytest.mark.clause("FEA-03", "DBK-07", "DBK-12")
@pytest.mark.parametrize("kind", ["result", "verify"])
@pytest.mark.parametrize("ours", [False, True])
def test_where_dialback_is_off_no_element_of_it_is_taken(kind: str, ours: bool) -> None:
    settings = policy(MONTAGUE, dialback=False)
    core: ServerStream = authenticated(settings)
    if ours:
        core = opened(settings, PAIR)
        pump(core, taking(policy(CAPULET)), a_sees=Proves(CAPULET), b_sees=Proves(MONTAGUE))
    events, answer = say(core, f"<db:{kind} from='{CAPULET}' to='{MONTAGUE}' id='1'>k</db:{kind}>")
    assert isinstance(events[-1], StreamClosed)
    assert events[-1].condition == "policy-violation"
    assert "<db:" not in answer
