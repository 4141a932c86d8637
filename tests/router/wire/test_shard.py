"""Shards: the same for both directions, the same for ever, and moved only with their worker."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.shard import SHARDS, seat_of, shard_of

DOMAINS = st.from_regex(r"[a-z0-9é-]{1,12}\.example", fullmatch=True)
SEATS = st.lists(st.integers(0, 63), min_size=2, max_size=8, unique=True)

VECTORS = [
    ("montague.example", "capulet.example", 54),
    ("verona.example", "verona.example", 50),
    ("a.example", "b.example", 19),
    ("münchen.example", "[2001:db8::1]", 47),
]


@pytest.mark.parametrize(("a", "b", "shard"), VECTORS)
def test_the_shard_of_a_pair_never_changes(a, b, shard):
    """Routers of two versions in one fleet must agree."""
    assert shard_of(a, b) == shard


def test_it_is_the_published_hash():
    digest = blake2b(b"capulet.example\0montague.example", digest_size=8).digest()
    expected = int.from_bytes(digest, "big") % 64
    assert shard_of("montague.example", "capulet.example") == expected


@given(DOMAINS, DOMAINS)
def test_both_directions_share_one_shard(a, b):
    assert shard_of(a, b) == shard_of(b, a)
    assert 0 <= shard_of(a, b) < SHARDS


def test_pairs_spread_over_all_shards():
    shards = [shard_of("capulet.example", f"d{number}.example") for number in range(6400)]
    counts = [shards.count(shard) for shard in range(SHARDS)]
    assert min(counts) > 50
    assert max(counts) < 160


@given(SEATS, st.integers(0, SHARDS - 1))
def test_a_seat_that_goes_moves_only_its_own_shards(seats, shard):
    gone, *others = seats
    before = seat_of(shard, seats)
    after = seat_of(shard, others)
    assert after in others
    if before != gone:
        assert after == before


@given(SEATS, st.integers(0, SHARDS - 1))
def test_the_order_of_seats_is_of_no_account(seats, shard):
    assert seat_of(shard, seats) == seat_of(shard, seats[::-1])


def test_the_seats_of_shards_never_change():
    assert [seat_of(shard, range(3)) for shard in range(16)] == [
        *(0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 2, 1, 0, 2)
    ]
