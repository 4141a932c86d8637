"""Which bytestream a stanza belongs to, and what strangers are told (XEP-0047 §2.2, §2.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp.bytestreams.ibb import InBandBytestream, Role, Terms
from router.xmpp.bytestreams.ibb_elements import Close, Data, Open
from router.xmpp.bytestreams.ibb_events import Closed, CloseReason
from router.xmpp.bytestreams.ibb_table import InBandBytestreams, Received
from router.xmpp.errors import MisuseError
from tests.router.xmpp.bytestreams.inband import (
    JULIET,
    REJECTED,
    ROMEO,
    SID,
    End,
    answer,
    data,
    request,
    stanza,
)
from tests.support.pump import NOW, ids

STRANGER = "mallory@capulet.example/x"


def stream(peer: str = JULIET, sid: str = SID, role: Role = Role.NO_OPEN) -> InBandBytestream:
    return InBandBytestream(Terms(ROMEO, peer, sid, 4096), role, ids(f"{peer}{sid}"), NOW)


def refusal(received: Received) -> bytes:
    assert received.answer is not None
    assert received.stream is None
    return received.answer


@pytest.mark.clause("IBB-06")
@pytest.mark.parametrize("payload", [Data("x", 0, b"a"), Close("x")])
def test_an_unknown_sid(payload: Data | Close) -> None:
    end = End(Role.NO_OPEN)
    said = refusal(end.table.receive(request(payload.octets()), NOW))
    assert b"<error type='cancel'><item-not-found " in said
    assert end.events == []


@pytest.mark.clause("IBB-06")
@pytest.mark.parametrize("payload", [Data(SID, 0, b"a"), Close(SID)])
@pytest.mark.parametrize("sender", [STRANGER, f"{JULIET}/x", "capulet.example"])
def test_a_known_sid_of_another_address(payload: Data | Close, sender: str) -> None:
    end = End(Role.NO_OPEN)
    said = refusal(end.table.receive(request(payload.octets(), sender), NOW))
    assert b"<item-not-found " in said
    assert f'to="{sender}"'.encode() in said
    assert end.take(data(0))[0].attributes["type"] == "result", "it is still open"


@pytest.mark.clause("IBB-06")
def test_an_answer_of_another_address_is_no_answer() -> None:
    end = End(Role.OPENS)
    (asked,) = end.sent()
    octets = answer(asked).octets.replace(JULIET.encode(), STRANGER.encode())
    assert not end.table.awaits(stanza(octets))
    assert end.table.receive(stanza(octets), NOW) == Received()
    assert end.table.awaits(answer(asked))
    assert not end.table.awaits(asked)


def test_an_open_that_was_not_agreed() -> None:
    said = refusal(InBandBytestreams().receive(request(Open("x", 4096).octets()), NOW))
    assert b"<error type='cancel'><not-acceptable " in said


@pytest.mark.parametrize(
    "octets",
    [
        f"<iq from='a.example' to='{ROMEO}' id='1' type='set'>%s<x xmlns='urn:x'/></iq>",
        f"<iq from='a.example' to='{ROMEO}' id='1' type='get'>%s</iq>",
        f"<iq from='a.example' to='{ROMEO}' id='1' type='set'><x xmlns='urn:&#125;x'/></iq>",
        f"<message from='a.example' to='{ROMEO}' id='1' type='chat'>%s%s</message>",
    ],
)
def test_what_is_no_request_of_the_standard(octets: str) -> None:
    octets = octets.replace("%s", Data(SID, 0, b"a").octets().decode())
    assert b"<bad-request " in refusal(InBandBytestreams().receive(stanza(octets.encode()), NOW))


def test_data_in_a_message_may_stand_beside_other_elements() -> None:
    end = End(Role.NO_OPEN, stanza="message")
    octets = (
        f"<message from='{JULIET}' to='{ROMEO}' id='1'>{Data(SID, 0, b'a').octets().decode()}"
        "<amp xmlns='http://jabber.org/protocol/amp'/></message>"
    ).encode()
    assert end.take(stanza(octets)) == []
    assert end.octets() == b"a"


def test_a_message_that_came_back_ends_the_bytestream() -> None:
    end = End(Role.NO_OPEN, stanza="message")
    end.stream.write(b"a", NOW)
    (sent,) = end.sent()
    error = REJECTED("service-unavailable", "cancel")
    back = (
        f"<message from='{JULIET}' to='{ROMEO}' id='{sent.attributes['id']}' type='error'>"
        f"{Data(SID, 0, b'a').octets().decode()}{error}</message>"
    ).encode()
    end.take(stanza(back))
    assert end.events == [Closed(CloseReason.REJECTED, "service-unavailable", 0)]
    unknown = back.replace(SID.encode(), b"another")
    assert end.table.receive(stanza(unknown), NOW) == Received()


def test_there_is_room_for_so_many() -> None:
    table = InBandBytestreams(max_streams=3, max_per_peer=2)
    first = stream(sid="1")
    table.add(first)
    assert not table.has_room(JULIET, "1")
    assert table.has_room(STRANGER, "1")
    table.add(stream(sid="2"))
    assert not table.has_room(JULIET, "3")
    table.add(stream(STRANGER, "1"))
    assert not table.has_room("romeo@montague.example", "1")
    with pytest.raises(MisuseError):
        table.add(stream("romeo@montague.example"))
    table.remove(first)
    table.remove(first)
    assert len(table) == 2
    table.add(stream(sid="3"))


def test_another_bytestream_of_the_same_name_is_not_removed() -> None:
    table = InBandBytestreams()
    table.add(stream())
    table.remove(stream())
    assert len(table) == 1


def test_deadlines_of_all() -> None:
    table = InBandBytestreams()
    assert table.deadline() is None
    table.add(stream(sid="quiet"))
    assert table.deadline() is None
    waiting = stream(sid="waiting", role=Role.EXPECTS_OPEN)
    table.add(waiting)
    assert table.deadline() == NOW + 60
    assert table.deadline_passed(NOW + 59) == []
    (passed,) = table.deadline_passed(NOW + 60)
    assert passed.stream is waiting
    assert isinstance(passed.events[-1], Closed)


@given(st.text("<>/='\"&; abcsidtype", max_size=80))
def test_any_content_is_answered(inside: str) -> None:
    escaped = inside.replace("&", "&amp;").replace("<", "&lt;")
    one = request(f"<data xmlns='http://jabber.org/protocol/ibb' sid='x'>{escaped}</data>")
    assert b'type="error"' in refusal(InBandBytestreams().receive(one, NOW))
