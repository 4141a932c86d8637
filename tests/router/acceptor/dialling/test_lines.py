"""Dials on a line: who waits, who has left, and which line may be asked about a key."""

import asyncio
from types import SimpleNamespace

import pytest

from router.acceptor.dialling.attempts import AUTHORISED, Approach, unreachable
from router.acceptor.dialling.lines import Dial, Line, Lines, UnderWay
from router.wire.frames import VerifyKey
from router.xmpp import names
from router.xmpp.certificate import NO_CERTIFICATE
from router.xmpp.pair import DomainPair
from router.xmpp.states import Phase
from router.xmpp.writer import BIDI_FEATURE
from tests.support.pump import CAPULET, MONTAGUE, NOW, PAIR, Proves, authenticated, outbound, say

ERRORS = f"<dialback xmlns='{names.DIALBACK_FEATURE}'><errors/></dialback>"


def line(core: object, end: object = None) -> Line:
    return Line(SimpleNamespace(core=core, end=end), Approach())  # type: ignore[arg-type]


def key(sender: str = CAPULET, stream_id: str = "s1") -> VerifyKey:
    return VerifyKey("a0.1", 1, DomainPair(sender, MONTAGUE), stream_id, "key")


async def test_a_dial_waits_on_one_line_until_it_is_settled_once() -> None:
    dial = Dial(PAIR, 0, asyncio.get_running_loop().create_future())
    road = line(outbound())
    assert not dial.settle(AUTHORISED)
    dial.join(road, asyncio.get_running_loop().create_future())
    assert dial.line is road
    assert road.dials == [dial]
    assert dial.settle(AUTHORISED)
    assert not dial.settle(AUTHORISED)
    dial.leave()
    assert dial.line is None
    assert road.dials == []


async def test_dials_that_began_before_and_go_to_the_same_place() -> None:
    home, away, nowhere = ("192.0.2.1", 5269), ("192.0.2.9", 5269), ("192.0.2.5", 5269)
    loop = asyncio.get_running_loop()
    first, second, third, fourth = (
        Dial(PAIR, number, loop.create_future(), frozenset(places))
        for number, places in enumerate(([home, away], [nowhere], [away], [home, away]))
    )
    under_way = UnderWay()
    for dial in (fourth, third, second, first):
        under_way.add(dial)
    assert under_way.before(fourth) == [first, third]
    assert under_way.before(third) == [first]
    assert under_way.before(first) == []
    under_way.remove(first)
    assert under_way.before(fourth) == [third]
    under_way.remove(Dial(PAIR, 9, loop.create_future()))
    assert under_way.before(Dial(PAIR, 9, loop.create_future())) == []


async def test_the_connections_to_a_place_that_somebody_waits_for() -> None:
    home, away = ("192.0.2.1", 5269), ("192.0.2.9", 5269)
    loop = asyncio.get_running_loop()
    first, second = (
        Dial(PAIR, number, loop.create_future(), frozenset([place]))
        for number, place in enumerate((home, away))
    )
    under_way = UnderWay()
    under_way.add(first)
    under_way.add(second)
    assert under_way.connections([home, away]) == []
    road = line(outbound())
    first.join(road, loop.create_future())
    assert under_way.connections([home]) == [road.connection]
    assert under_way.connections([away]) == []
    under_way.remove(first)
    assert under_way.connections([home]) == []


async def test_a_dial_leaves_the_line_that_came_to_nothing() -> None:
    dial = Dial(PAIR, 0, asyncio.get_running_loop().create_future())
    road = line(outbound())
    dial.join(road, asyncio.get_running_loop().create_future())
    dial.settle(AUTHORISED)
    assert await dial.ending() is AUTHORISED
    assert dial.line is road
    failed = unreachable("gone")
    dial.join(road, asyncio.get_running_loop().create_future())
    dial.settle(failed)
    assert await dial.ending() is failed
    assert dial.line is None


async def test_a_dial_is_urged_until_nobody_waits_for_it() -> None:
    dial = Dial(PAIR, 0, asyncio.get_running_loop().create_future())
    assert not dial.urged.done()
    dial.urge()
    dial.urge()
    assert dial.urged.done()
    dial.calm()
    assert not (calm := dial.urged).done()
    dial.calm()
    assert dial.urged is calm


def test_lines_are_kept_until_their_stream_is_gone() -> None:
    lines, connection = Lines(), SimpleNamespace(number=4)
    assert lines.find(connection) is None  # type: ignore[arg-type]
    opened = lines.opened(connection, Approach(bidi=False))  # type: ignore[arg-type]
    assert lines.of(connection) is lines.find(connection) is opened  # type: ignore[arg-type]
    assert lines.gone(connection) is opened  # type: ignore[arg-type]
    assert lines.gone(connection) is None  # type: ignore[arg-type]
    assert lines.of(connection).approach == Approach()  # type: ignore[arg-type]


@pytest.mark.clause("DBK-09")
def test_a_stream_of_ours_to_the_key_s_domain_may_be_asked() -> None:
    assert line(outbound()).answers_for(key())
    assert not line(outbound()).answers_for(key("lear.example"))


@pytest.mark.clause("DBK-10", "BIDI-18")
def test_never_the_stream_that_brought_the_key_nor_one_the_peer_opened() -> None:
    core = outbound(None, stream_id="theirs")
    assert not line(core).answers_for(key(stream_id="theirs"))
    assert not line(authenticated(bidi=True)).answers_for(key())


def test_not_a_stream_that_is_ending() -> None:
    core = outbound()
    assert not line(core, end="closed").answers_for(key())
    core.close(NOW)
    assert core.phase is Phase.CLOSING
    assert not line(core).answers_for(key())


@pytest.mark.clause("DBK-27")
def test_a_further_target_of_the_stream_is_the_same_server() -> None:
    core = outbound(None, NO_CERTIFICATE, ERRORS, stream_id="theirs", has_certificate=False)
    road = line(core)
    say(core, f"<db:result from='{CAPULET}' to='{MONTAGUE}' type='valid'/>")
    core.ask_for(DomainPair(MONTAGUE, "lear.example"), NOW)
    assert not road.answers_for(key("lear.example"))
    say(core, f"<db:result from='lear.example' to='{MONTAGUE}' type='valid'/>")
    assert road.answers_for(key("lear.example"))


@pytest.mark.clause("BIDI-18")
def test_a_domain_that_the_peer_proved_itself_does_not_make_it_the_authority() -> None:
    core = outbound(None, Proves("lear.example"), ERRORS, BIDI_FEATURE, has_certificate=False)
    say(core, f"<db:result from='{CAPULET}' to='{MONTAGUE}' type='valid'/>")
    say(core, f"<db:result from='lear.example' to='{MONTAGUE}'>key</db:result>")
    assert core.may_send(DomainPair(MONTAGUE, "lear.example"))
    assert not line(core).answers_for(key("lear.example"))
