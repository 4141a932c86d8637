"""Sessions that we open and keep: one with each peer of `[[e2e.express]]`.

Owns when to try, and when to try again. While the address is ours; `service` does the rest.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
LASTING_S: Final = 30.0
"""A session that lasted so long was a good one: the next is tried at once."""
TURN_S: Final = 2.0
"""What the peer may take to begin; it is the turn of the one whose address sorts first."""


@dataclass(slots=True)
class _Peer:
    wait_s: float = FIRST_S
    tried_at: float = 0.0
    timer: asyncio.TimerHandle | None = field(default=None)


class Express:
    """`open` begins a session with a peer, `has_session` says whether there is one."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        local: str,
        peers: Iterable[str],
        has_session: Callable[[str], bool],
        open_session: Callable[[str], object],
    ) -> None:
        self._loop = loop
        self._local = local
        self._peers = {peer: _Peer() for peer in peers}
        self._has_session = has_session
        self._open = open_session
        self._is_on = False

    def begin(self) -> None:
        """The address is ours: open what is missing."""
        self._is_on = True
        for name, peer in self._peers.items():
            self._try_in(name, peer, 0.0 if self._local < name else TURN_S)

    def end(self) -> None:
        """Open nothing any more."""
        self._is_on = False
        for peer in self._peers.values():
            if peer.timer is not None:
                peer.timer.cancel()
                peer.timer = None

    def came(self, name: str) -> None:
        """There was no way to this peer, and now there is one."""
        peer = self._peers.get(name)
        if peer is None or not self._is_on:
            return
        turn_s = 0.0 if self._local < name else TURN_S
        self._try_in(name, peer, max(turn_s, peer.tried_at + peer.wait_s - self._loop.time()))

    def over(self, name: str) -> None:
        """A session with this address has ended, whoever began it."""
        peer = self._peers.get(name)
        if peer is None or not self._is_on:
            return
        if self._loop.time() - peer.tried_at >= LASTING_S:
            peer.wait_s = FIRST_S
        wait_s, peer.wait_s = peer.wait_s, min(2 * peer.wait_s, LONGEST_S)
        self._try_in(name, peer, wait_s)

    def _try_in(self, name: str, peer: _Peer, after_s: float) -> None:
        if peer.timer is not None:
            peer.timer.cancel()
        peer.timer = self._loop.call_later(after_s, self._try, name, peer)

    def _try(self, name: str, peer: _Peer) -> None:
        peer.timer = None
        peer.tried_at = self._loop.time()
        if self._is_on and not self._has_session(name):
            self._open(name)
