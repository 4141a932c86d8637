"""What is to be said comes out once, in order, and nothing is awaited for ever."""

from router.xmpp.jingle.actions import Action
from router.xmpp.jingle.events import SessionEnded, SessionKey
from router.xmpp.jingle.outbox import MAX_AWAITED, Outbox, Request
from tests.router.xmpp.jingle.joined import JULIET, ROMEO
from tests.support.pump import ids

KEY, OTHER = SessionKey(JULIET, "a"), SessionKey(JULIET, "b")


def outbox() -> Outbox:
    return Outbox(ROMEO, ids("q"))


def test_requests_come_out_once_and_in_order() -> None:
    box = outbox()
    box.send(Request(KEY, None), "get", b"<a xmlns='urn:a'/>")
    box.send(Request(KEY, Action.SESSION_INFO), "set", b"<b xmlns='urn:b'/>")
    first, second = box.take_requests()
    assert b"id=\"q1\" type='get'" in first
    assert b"id=\"q2\" type='set'" in second
    assert box.take_requests() == []


def test_a_request_is_awaited_until_it_is_answered() -> None:
    box = outbox()
    request = Request(KEY, Action.SESSION_INFO)
    box.send(request, "set", b"<b xmlns='urn:b'/>")
    assert box.awaited("q1") == request
    assert box.awaited("q2") is None
    box.answered("q1")
    assert box.awaited("q1") is None


def test_nothing_is_awaited_for_a_session_that_has_ended() -> None:
    box = outbox()
    box.send(Request(KEY, Action.SESSION_INFO), "set", b"<b xmlns='urn:b'/>")
    box.send(Request(OTHER, Action.SESSION_INFO), "set", b"<b xmlns='urn:b'/>")
    ended = SessionEnded(KEY, "gone")
    box.emit(ended)
    assert box.awaited("q1") is None
    assert box.awaited("q2") is not None
    assert (box.take_ended(), box.take_ended()) == ([KEY], [])
    assert (box.take_events(), box.take_events()) == ([ended], [])


def test_the_oldest_request_gives_way() -> None:
    box = outbox()
    for _ in range(MAX_AWAITED + 1):
        box.send(Request(KEY, Action.SESSION_INFO), "set", b"<b xmlns='urn:b'/>")
    assert box.awaited("q1") is None
    assert box.awaited("q2") is not None
    assert box.awaited(f"q{MAX_AWAITED + 1}") is not None
