"""The sending half of an in-band bytestream: octets wait, leave as blocks, and are acknowledged.

At most a window of blocks is on its way (XEP-0047 §2.2 recommends to wait). A peer takes blocks in
order only, so the answer to one block holds for all before it. A block that was not delivered goes
again, with all that follow it, once every block on its way has been answered or has waited long
enough: order is kept, and a peer that had it already says so.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from router.xmpp.bytestreams.ibb_elements import SEQUENCE
from router.xmpp.errors import MisuseError


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """What may be on its way or wait, and how patient we are with what does not arrive."""

    blocks: int = 8
    """Blocks without an answer."""
    bytes: int = 65_536
    """Octets in blocks without an answer; one block goes whatever its size."""
    full_at_bytes: int = 65_536
    """Octets that wait or are on their way, from which on the writer should pause."""
    max_unsent_bytes: int = 4_194_304
    """The same, beyond which writing is misuse."""
    answer_timeout_s: float = 20.0
    retry_s: float = 1.0
    """Pause before blocks go again; doubled each time, up to 30 s."""
    max_retries: int = 6
    """How often in a row without progress."""


DEFAULT_WINDOW = WindowLimits()
_MAX_RETRY_S = 30.0


@dataclass(frozen=True, slots=True)
class Block:
    """One block to be sent now, in an iq of this id."""

    id: str
    seq: int
    octets: bytes


@dataclass(slots=True)
class _OnItsWay:
    seq: int
    octets: bytes
    id: str | None
    """None: it failed, and is to go again."""
    answer_by: float
    times_sent: int = 1


class SendWindow:
    """The octets written to one bytestream and not yet acknowledged, in order.

    `acknowledged_bytes` counts what the peer has taken, of all that was written.
    """

    def __init__(self, block_size_bytes: int, limits: WindowLimits = DEFAULT_WINDOW) -> None:
        self.acknowledged_bytes = 0
        self.block_size_bytes = block_size_bytes
        self._limits = limits
        self._waiting = bytearray()
        self._on_their_way: deque[_OnItsWay] = deque()
        self._bytes_on_their_way = 0
        self._next_seq = 0
        self._retries = 0
        self._retry_at: float | None = None
        """Set while suspended: when blocks may go again."""

    # --- octets ---

    def write(self, octets: bytes) -> None:
        """Queue octets. Raises MisuseError when nobody has listened to `is_full`."""
        if self.unsent_bytes() + len(octets) > self._limits.max_unsent_bytes:
            raise MisuseError("more octets than an in-band bytestream may hold")
        self._waiting += octets

    def unsent_bytes(self) -> int:
        """Octets written and not acknowledged."""
        return len(self._waiting) + self._bytes_on_their_way

    def is_full(self) -> bool:
        """Whether the writer should wait until it is not."""
        return self.unsent_bytes() >= self._limits.full_at_bytes

    # --- blocks ---

    def take(self, new_id: Callable[[], str], now: float) -> list[Block]:
        """The blocks to send now, in this order; the caller does send them."""
        again = self._take_again(new_id, now)
        return again if self._retry_at is not None else again + self._take_new(new_id, now)

    def take_unanswered(self, new_id: Callable[[], str]) -> list[Block]:
        """Everything that waits, in blocks that nobody acknowledges: they count as taken."""
        taken = []
        while self._waiting:
            octets = self._cut()
            taken.append(Block(new_id(), self._number(), octets))
            self.acknowledged_bytes += len(octets)
        return taken

    def _take_again(self, new_id: Callable[[], str], now: float) -> list[Block]:
        if self._retry_at is None:
            return []
        if self._on_their_way and (now < self._retry_at or self._is_one_unanswered()):
            return []
        self._retry_at = None
        for block in self._on_their_way:
            block.id, block.answer_by = new_id(), now + self._limits.answer_timeout_s
            block.times_sent += 1
        return [Block(b.id, b.seq, b.octets) for b in self._on_their_way if b.id is not None]

    def _take_new(self, new_id: Callable[[], str], now: float) -> list[Block]:
        taken = []
        while self._waiting and self._has_room():
            block = Block(new_id(), self._number(), self._cut())
            answer_by = now + self._limits.answer_timeout_s
            self._on_their_way.append(_OnItsWay(block.seq, block.octets, block.id, answer_by))
            self._bytes_on_their_way += len(block.octets)
            taken.append(block)
        return taken

    def _has_room(self) -> bool:
        if not self._on_their_way:
            return True
        next_bytes = min(len(self._waiting), self.block_size_bytes)
        return (
            len(self._on_their_way) < self._limits.blocks
            and self._bytes_on_their_way + next_bytes <= self._limits.bytes
        )

    def _cut(self) -> bytes:
        octets = bytes(self._waiting[: self.block_size_bytes])
        del self._waiting[: self.block_size_bytes]
        return octets

    def _number(self) -> int:
        seq = self._next_seq
        self._next_seq = (seq + 1) % SEQUENCE
        return seq

    def _is_one_unanswered(self) -> bool:
        return any(block.id is not None for block in self._on_their_way)

    # --- answers ---

    def awaits(self, stanza_id: str) -> bool:
        """Whether a block on its way has this id."""
        return any(block.id == stanza_id for block in self._on_their_way)

    def acknowledge(self, stanza_id: str) -> None:
        """The peer has taken the block of this id, which is awaited, and so all before it."""
        while True:
            block = self._on_their_way.popleft()
            self._bytes_on_their_way -= len(block.octets)
            self.acknowledged_bytes += len(block.octets)
            if block.id == stanza_id:
                break
        self._retries = 0

    def was_sent_again(self, stanza_id: str) -> bool:
        """Whether the peer may have had the block of this id before."""
        return any(b.id == stanza_id and b.times_sent > 1 for b in self._on_their_way)

    def fail(self, stanza_id: str, now: float) -> None:
        """The block of this id was not delivered: nothing new leaves until it has been."""
        for block in self._on_their_way:
            if block.id == stanza_id:
                block.id = None
        self._suspend(now)

    def _suspend(self, now: float) -> None:
        if self._retry_at is None:
            pause_s = min(self._limits.retry_s * 2**self._retries, _MAX_RETRY_S)
            self._retry_at = now + pause_s
            self._retries += 1

    def has_given_up(self) -> bool:
        """Whether blocks have gone again as often as they may."""
        return self._retries > self._limits.max_retries

    def deadline(self) -> float | None:
        """When to call `deadline_passed`, and then `take`."""
        unanswered = [b.answer_by for b in self._on_their_way if b.id is not None]
        if unanswered:
            return min(unanswered)
        return self._retry_at

    def deadline_passed(self, now: float) -> None:
        """Blocks that have waited long enough for their answer are to go again."""
        late = [b for b in self._on_their_way if b.id is not None and b.answer_by <= now]
        for block in late:
            block.id = None
        if late:
            self._suspend(now)
