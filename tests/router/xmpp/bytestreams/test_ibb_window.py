"""The sending half: blocks, the window, acknowledgements, and what is sent again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp.bytestreams.ibb_window import Block, SendWindow, WindowLimits
from router.xmpp.errors import MisuseError
from tests.support.pump import NOW, ids

NEW_ID = ids()


def window(size: int = 4, **limits: float) -> SendWindow:
    return SendWindow(size, WindowLimits(**limits))  # type: ignore[arg-type]


def take(sending: SendWindow, now: float = NOW) -> list[Block]:
    return sending.take(NEW_ID, now)


def plain(blocks: list[Block]) -> list[tuple[int, bytes]]:
    return [(block.seq, block.octets) for block in blocks]


def test_octets_leave_in_blocks_of_at_most_the_block_size() -> None:
    sending = window()
    sending.write(b"abcd")
    sending.write(b"ef")
    assert plain(take(sending)) == [(0, b"abcd"), (1, b"ef")]
    assert (take(sending), sending.unsent_bytes()) == ([], 6)


@pytest.mark.clause("IBB-05")
def test_no_more_than_the_window_is_on_its_way() -> None:
    sending = window(1)
    sending.write(b"0123456789")
    first = take(sending)
    assert [block.octets for block in first] == [b"%d" % n for n in range(8)]
    sending.acknowledge(first[1].id)
    assert plain(take(sending)) == [(8, b"8"), (9, b"9")]
    assert (sending.acknowledged_bytes, sending.unsent_bytes()) == (2, 8)


@pytest.mark.clause("IBB-05")
def test_the_window_is_bounded_in_octets_too_but_one_block_always_goes() -> None:
    sending = window(100, bytes=150)
    sending.write(b"x" * 300)
    (first,) = take(sending)
    sending.acknowledge(first.id)
    assert len(take(sending)) == 1
    large = window(100, bytes=50)
    large.write(b"x" * 300)
    assert len(take(large)) == 1


@pytest.mark.clause("IBB-04")
def test_numbers_wrap() -> None:
    sending = window(1)
    numbers = []
    for _ in range(65_538):
        sending.write(b"x")
        (block,) = take(sending)
        numbers.append(block.seq)
        sending.acknowledge(block.id)
    assert numbers == [*range(65_536), 0, 1]


def test_full_is_said_before_more_is_misuse() -> None:
    sending = window(full_at_bytes=10, max_unsent_bytes=12)
    sending.write(b"x" * 9)
    assert not sending.is_full()
    sending.write(b"x")
    assert sending.is_full()
    with pytest.raises(MisuseError):
        sending.write(b"xxx")


@pytest.mark.clause("IBB-08")
def test_what_was_not_delivered_goes_again_with_all_that_follows() -> None:
    sending = window(1, blocks=3, retry_s=1)
    sending.write(b"abcdef")
    a, b, c = take(sending)
    sending.acknowledge(a.id)
    sending.fail(b.id, NOW)
    assert take(sending) == [], "suspended, and c has no answer yet"
    assert take(sending, NOW + 2) == []
    sending.fail(c.id, NOW)
    assert take(sending, NOW + 0.9) == []
    assert sending.deadline() == NOW + 1
    again = take(sending, NOW + 1)
    assert plain(again) == [(1, b"b"), (2, b"c"), (3, b"d")]
    assert not {block.id for block in again} & {b.id, c.id}
    assert [sending.was_sent_again(block.id) for block in again] == [True, True, False]


def test_an_answer_to_a_later_block_holds_for_those_before() -> None:
    sending = window(1)
    sending.write(b"abc")
    a, b, _ = take(sending)
    sending.fail(a.id, NOW)
    sending.acknowledge(b.id)
    assert sending.acknowledged_bytes == 2


@pytest.mark.clause("IBB-08")
def test_a_block_without_an_answer_goes_again() -> None:
    sending = window(1, answer_timeout_s=20, retry_s=1)
    sending.write(b"ab")
    take(sending)
    assert sending.deadline() == NOW + 20
    sending.deadline_passed(NOW + 19)
    assert take(sending, NOW + 19) == []
    sending.deadline_passed(NOW + 20)
    assert sending.deadline() == NOW + 21
    assert plain(take(sending, NOW + 21)) == [(0, b"a"), (1, b"b")]


@pytest.mark.clause("IBB-08")
def test_retries_back_off_and_end_unless_something_arrives() -> None:
    sending = window(1, retry_s=1, max_retries=6)
    sending.write(b"a")
    now, pauses = NOW, []
    while not sending.has_given_up():
        (block,) = take(sending, now)
        sending.fail(block.id, now)
        at = sending.deadline()
        assert at is not None
        pauses.append(at - now)
        now = at
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    (block,) = take(sending, now)
    sending.acknowledge(block.id)
    assert not sending.has_given_up()


def test_messages_have_no_window() -> None:
    sending = window(1)
    sending.write(b"x" * 20)
    assert len(sending.take_unanswered(NEW_ID)) == 20
    assert (sending.acknowledged_bytes, sending.unsent_bytes()) == (20, 0)


@given(
    st.lists(st.binary(min_size=1, max_size=12), min_size=1),
    st.integers(1, 5),
    st.lists(st.sampled_from(["took", "lost", "answer lost", "late"]), max_size=60),
)
def test_a_receiver_in_order_gets_every_octet_once(
    writes: list[bytes], size: int, fates: list[str]
) -> None:
    sending = window(size, blocks=3, max_retries=1000)
    received, expected, now = b"", 0, NOW
    for octets in writes:
        sending.write(octets)
    while sending.unsent_bytes():
        for block in take(sending, now):
            fate = fates.pop() if fates else "took"
            if fate in ("took", "answer lost"):
                if block.seq == expected:
                    received, expected = received + block.octets, expected + 1
                    ok = True
                else:
                    ok = block.seq < expected and sending.was_sent_again(block.id)
                if not sending.awaits(block.id):
                    continue
                if ok and fate == "took":
                    sending.acknowledge(block.id)
                elif not ok:
                    sending.fail(block.id, now)
            elif fate == "lost" and sending.awaits(block.id):
                sending.fail(block.id, now)
        now += 40
        sending.deadline_passed(now)
    assert received == b"".join(writes)
    assert sending.acknowledged_bytes == len(received)
