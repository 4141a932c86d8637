"""What frames and stream names are to those who compare them."""

from router.wire.frame import VERSION, Frame, StreamId


def test_a_form_without_a_version_of_its_own_is_the_first() -> None:
    assert Frame.SINCE == 1 <= VERSION
    assert (Frame.ADDED, Frame.OCTETS) == ((), None)


def test_streams_are_told_apart_by_acceptor_and_number() -> None:
    assert len({StreamId("a0.1", 1), StreamId("a0.1", 1), StreamId("a1.1", 1)}) == 2
