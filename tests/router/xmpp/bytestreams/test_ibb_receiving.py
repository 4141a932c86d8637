"""Received blocks: order, the wrap of numbers, faults, and what is held."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp.bytestreams.ibb_elements import Data
from router.xmpp.bytestreams.ibb_receiving import ReceivedBlocks
from tests.router.xmpp.bytestreams.inband import data

REQUEST = data(0)


def blocks(*, repairs: bool = False, size: int = 10, held: int = 100) -> ReceivedBlocks:
    return ReceivedBlocks(size, held, repairs=repairs)


def taken(received: ReceivedBlocks, seq: int, block: bytes = b"x") -> tuple[str, str, bool] | None:
    fault = received.take(Data("a", seq, block), REQUEST)
    return fault and (fault.error.condition, fault.error.type, fault.is_fatal)


def after(count: int, *, repairs: bool = False) -> ReceivedBlocks:
    """A direction in which `count` blocks have come."""
    received = blocks(repairs=repairs)
    for seq in range(count):
        assert taken(received, seq % 65_536) is None
        received.release()
    return received


def test_blocks_come_out_once_with_their_requests_in_order() -> None:
    received = blocks()
    assert received.is_empty()
    for seq, block in enumerate((b"a", b"", b"c")):
        assert taken(received, seq, block) is None
    assert not received.is_empty()
    kept = replace(REQUEST, octets=b"")
    assert received.release() == [(kept, b"a"), (kept, b""), (kept, b"c")]
    assert received.release() == []


@pytest.mark.clause("IBB-04")
def test_numbers_begin_at_zero_and_wrap() -> None:
    received = after(65_536)
    assert taken(received, 0) is None
    assert taken(received, 65_535) == ("unexpected-request", "cancel", False)
    assert taken(received, 2) == ("item-not-found", "cancel", True)


@pytest.mark.clause("IBB-04")
@pytest.mark.parametrize(
    ("count", "seq", "fault"),
    [
        (0, 1, ("item-not-found", "cancel", True)),
        (0, 65_535, ("item-not-found", "cancel", True)),
        (3, 2, ("unexpected-request", "cancel", False)),
        (3, 0, ("unexpected-request", "cancel", False)),
        (3, 4, ("item-not-found", "cancel", True)),
        (3, 65_535, ("item-not-found", "cancel", True)),
    ],
)
def test_a_number_used_before_is_refused_and_a_gap_is_the_end(
    count: int, seq: int, fault: tuple[str, str, bool]
) -> None:
    received = after(count)
    assert taken(received, seq) == fault
    assert received.is_empty()
    assert taken(received, count) is None


def test_with_repair_a_gap_is_refused_for_the_time_being() -> None:
    received = after(3, repairs=True)
    assert taken(received, 5) == ("unexpected-request", "wait", False)
    assert received.is_empty()
    assert taken(received, 3) is None


@pytest.mark.clause("IBB-03")
def test_a_block_over_the_block_size_is_the_end() -> None:
    assert taken(blocks(size=4), 0, b"12345") == ("bad-request", "cancel", True)
    assert taken(blocks(size=4), 0, b"1234") is None


@pytest.mark.parametrize("repairs", [False, True])
def test_what_is_held_is_bounded(repairs: bool) -> None:
    received = blocks(repairs=repairs, size=10, held=15)
    assert taken(received, 0, b"0123456789") is None
    assert taken(received, 1, b"012345") == ("resource-constraint", "wait", not repairs)
    received.release()
    assert taken(received, 1, b"012345") is None


@given(st.lists(st.integers(0, 65_535)), st.booleans())
def test_whatever_comes_only_the_next_one_is_taken(numbers: list[int], repairs: bool) -> None:
    received = blocks(repairs=repairs)
    count = 0
    for seq in numbers:
        is_next = seq == count
        assert (taken(received, seq) is None) is is_next
        assert len(received.release()) == is_next
        count += is_next
