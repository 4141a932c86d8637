"""Two linked connections: octets, back-pressure, half-close, the end."""

import pytest

from router.xmpp.bytestreams.relay import (
    Action,
    Disconnect,
    EndWriting,
    PauseReading,
    Relay,
    ResumeReading,
    Write,
)


@pytest.mark.clause("PRX-03")
def test_what_comes_in_on_one_goes_out_on_the_other() -> None:
    relay = Relay(1, 2)
    assert relay.received(1, b"a") == [Write(2, b"a")]
    assert relay.received(2, b"b") == [Write(1, b"b")]


@pytest.mark.clause("PRX-03")
def test_who_does_not_take_holds_the_other_up() -> None:
    relay = Relay(1, 2)
    assert relay.full(2) == [PauseReading(1)]
    assert relay.drained(2) == [ResumeReading(1)]
    assert relay.full(1) == [PauseReading(2)]


@pytest.mark.clause("PRX-04")
def test_half_close_is_passed_on_and_the_other_half_goes_on() -> None:
    relay = Relay(1, 2)
    assert relay.ended(1) == [EndWriting(2)]
    assert relay.ended(1) == []
    assert relay.received(2, b"more") == [Write(1, b"more")]
    assert not relay.is_over
    assert relay.ended(2) == [Disconnect(1), Disconnect(2)]
    assert relay.is_over


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_lost_connection_ends_both(has_ended: bool) -> None:
    relay = Relay(1, 2)
    if has_ended:
        relay.ended(2)
    assert relay.lost(1) == [Disconnect(2)]
    after: list[Action] = [
        *relay.received(2, b"x"),
        *relay.ended(2),
        *relay.lost(2),
        *relay.full(2),
        *relay.drained(2),
    ]
    assert (relay.is_over, after) == (True, [])
