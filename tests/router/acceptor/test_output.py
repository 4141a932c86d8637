"""The bound on what waits in all streams together, and who may fill how much of it."""

from router.acceptor.output import OutputRoom


def test_the_sum_of_all_streams_is_bounded() -> None:
    room = OutputRoom(1000)
    room.holds(1, 400)
    room.holds(2, 500)
    assert room.used_bytes == 900
    assert room.takes(100, is_read=True)
    assert not room.takes(101, is_read=True)
    room.holds(1, 100)
    assert room.takes(400, is_read=True)


def test_peers_that_do_not_read_get_half_of_it() -> None:
    room = OutputRoom(1000)
    room.holds(1, 400)
    assert room.takes(100, is_read=False)
    assert not room.takes(101, is_read=False)


def test_a_stream_that_is_gone_holds_nothing() -> None:
    room = OutputRoom(1000)
    room.holds(1, 1000)
    room.holds(1, 0)
    assert room.used_bytes == 0
    assert room.takes(1000, is_read=True)
