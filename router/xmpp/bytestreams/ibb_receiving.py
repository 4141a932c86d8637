"""The receiving half of an in-band bytestream: which block is next, and those not yet wanted.

Pure and bounded. `ibb` answers the stanzas and decides what a fault ends.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from router.xmpp.bytestreams.ibb_elements import SEQUENCE, Data
from router.xmpp.errors import StanzaError
from router.xmpp.stanza import Stanza


@dataclass(frozen=True, slots=True)
class Fault:
    """A block that is not used: the error that answers it, and whether the bytestream ends."""

    error: StanzaError
    is_fatal: bool


_TOO_LARGE: Final = Fault(StanzaError("bad-request", "cancel", "over the block-size"), True)
_USED_BEFORE: Final = Fault(StanzaError("unexpected-request", "cancel", "seq used before"), False)
_GAP: Final = Fault(StanzaError("item-not-found", "cancel", "a block is missing"), True)
_GAP_TO_REPAIR: Final = Fault(
    StanzaError("unexpected-request", "wait", "a block is missing"), False
)


class ReceivedBlocks:
    """The blocks of one direction, in order; each is kept until it is released.

    With `repairs` the sender goes back to a missing block instead of losing the bytestream.
    """

    def __init__(self, block_size_bytes: int, max_held_bytes: int, *, repairs: bool) -> None:
        self.block_size_bytes = block_size_bytes
        self._max_held_bytes = max_held_bytes
        self._repairs = repairs
        self._taken = 0
        self._held: deque[tuple[Stanza, bytes]] = deque()
        self._held_bytes = 0

    def take(self, data: Data, request: Stanza) -> Fault | None:
        """Keep the block if it is the next one; its request is answered when it is released.

        XEP-0047 §2.2: a number used before is an error, a gap ends the bytestream, and neither
        block is used.
        """
        if len(data.block) > self.block_size_bytes:
            return _TOO_LARGE
        if data.seq != self._taken % SEQUENCE:
            return self._out_of_sequence(data.seq)
        if self._held_bytes + len(data.block) > self._max_held_bytes:
            is_fatal = not self._repairs
            return Fault(StanzaError("resource-constraint", "wait", "not read yet"), is_fatal)
        self._taken += 1
        self._held.append((replace(request, octets=b""), data.block))
        self._held_bytes += len(data.block)
        return None

    def _out_of_sequence(self, seq: int) -> Fault:
        if (self._taken - seq) % SEQUENCE <= min(self._taken, SEQUENCE // 2):
            return _USED_BEFORE
        return _GAP_TO_REPAIR if self._repairs else _GAP

    def release(self) -> list[tuple[Stanza, bytes]]:
        """All that is held, in order: the request, without its octets, and the block."""
        released = list(self._held)
        self._held.clear()
        self._held_bytes = 0
        return released

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not self._held
