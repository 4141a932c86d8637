"""Keys that are to be verified (XEP-0220 §2.1.2): asked once on a stream of ours, and answered.

Owns which questions each of our streams has open. Whether a stream has to be opened for a key is
the dialer's to say, who calls this.
"""

import asyncio
from collections.abc import Callable

from router.acceptor.dialling.lines import Line
from router.wire.frames import Frame, Verified, VerifyKey
from router.xmpp.events import KeyAnswered
from router.xmpp.initiating import InitiatingStream


class Keys:
    """The keys asked about on our streams; `to_acceptor` takes the answers to their owners."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, to_acceptor: Callable[[str, Frame], None]
    ) -> None:
        self._loop = loop
        self._to_acceptor = to_acceptor

    def ask(self, line: Line, frame: VerifyKey, *, leads_there: bool = False) -> None:
        """Ask on this stream, which is for the key's domain, or has been found to lead there."""
        waiting = line.asked.setdefault((frame.pair, frame.stream_id), [])
        if waiting and waiting[0].key != frame.key:
            # The answer will name no key, and the id of a stream that we opened is its peer's
            # choice: it must not get what another stream's key has earned.
            self.answer(frame, "remote-server-timeout")
            return
        waiting.append(frame)
        if len(waiting) == 1:
            core = line.connection.core
            assert isinstance(core, InitiatingStream)
            core.verify(
                frame.pair,
                frame.stream_id,
                frame.key,
                self._loop.time(),
                leads_there=leads_there,
            )
            line.connection.act([])

    def answered(self, line: Line, event: KeyAnswered) -> None:
        """The authoritative server has spoken."""
        for key in line.asked.pop((event.pair, event.stream_id), ()):
            self.answer(key, event.verdict)

    def answer(self, frame: VerifyKey, verdict: str) -> None:
        """Tell the acceptor that holds the inbound stream."""
        self._to_acceptor(frame.owner, Verified(frame.request, verdict))
