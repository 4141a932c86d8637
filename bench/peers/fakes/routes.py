"""Which of a fake's streams a stanza leaves on: one `Route` for each pair, and the quirks in it."""

import zlib
from dataclasses import dataclass, field
from typing import Final

from bench.peers.fakes.profiles import Profile
from bench.peers.fakes.verifying import ServerStream

QUEUED_STANZAS: Final = 10_000


@dataclass(slots=True)
class Route:
    """The streams that may carry a pair, in the order they came to it, and what waits for one.

    `is_opening`: one of our own is on its way.
    """

    profile: Profile
    streams: list[ServerStream] = field(default_factory=list)
    queue: list[str] = field(default_factory=list)
    is_opening: bool = False

    def stream(self, sender: str) -> ServerStream | None:
        """Where a stanza of this sender goes now; None: it waits for one of our own."""
        if not self.streams or (self.profile.keeps_its_own and self.is_opening):
            return None
        if self.profile.spreads_by_sender:
            chosen = self.streams[zlib.crc32(sender.encode()) % len(self.streams)]
            if chosen.is_closing:
                self.streams.remove(chosen)  # a stale row is found once
                return None
            return chosen
        return self.streams[-1]

    def add(self, stream: ServerStream) -> bool:
        """The stream may carry the pair now; False when the profile does not care."""
        if stream.initiated:
            self.is_opening = False
        elif self.profile.keeps_its_own and (self.is_opening or self.streams):
            return False
        elif self.profile.closes_its_own:
            for own in [each for each in self.streams if each.initiated]:
                self.streams.remove(own)
                own.close()
        if stream not in self.streams:
            self.streams.append(stream)
        return True

    def take_queue(self) -> list[str]:
        """What waited."""
        queue, self.queue = self.queue, []
        return queue

    def remove(self, stream: ServerStream) -> None:
        """The stream is over."""
        if stream in self.streams:
            self.streams.remove(stream)
