"""Which of the 64 logical shards owns a domain pair, and which worker seat owns a shard."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

SHARDS: Final = 64


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


@lru_cache(maxsize=8192)
def shard_of(a: str, b: str) -> int:
    """The shard of the unordered pair: on a bidi stream both directions share one owner."""
    low, high = sorted((a, b))
    return _hash(f"{low}\0{high}") % SHARDS


def seat_of(shard: int, seats: Sequence[int]) -> int:
    """The worker seat that owns the shard, by rendezvous hashing.

    A seat that comes or goes moves only its own shards.
    """
    return max(seats, key=lambda seat: _hash(f"{shard}\0{seat}"))
