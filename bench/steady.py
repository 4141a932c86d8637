"""Ordinary stanzas at a fixed rate through a node and back, each numbered and timed.

A stanza's time counts from when the schedule had it sent, not from when the generator came to it,
so a node that holds the generator up does not improve its figures. Called by `hostile`.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from OpenSSL import SSL

from bench.remote import MARK, Component, Remote, chat
from router.xmpp.pair import DomainPair

TICK_S: Final = 0.005
_NUMBERED: Final = re.compile(rb" id='n(\d{7})'")
_PLAIN: Final = b" id='ktx72v49'"


def numbered(stanza: bytes, number: int) -> bytes:
    """A stanza of `bench.remote.chat` with its number as its id; the length stays."""
    return stanza.replace(_PLAIN, b" id='n%07d'" % number, 1)


@dataclass(slots=True)
class Arrivals:
    """What came in at one end: numbers from 0, each expected once and in order."""

    seen: set[int] = field(default_factory=set)
    duplicated: int = 0
    reordered: int = 0
    forged: int = 0
    """Messages without a number: nobody but an intruder sends those."""
    _highest: int = -1
    _tail: bytes = b""

    def take(self, octets: bytes) -> list[int]:
        """The numbers of the stanzas that these octets complete."""
        *whole, self._tail = (self._tail + octets).split(MARK)
        numbers: list[int] = []
        for stanza in whole:
            found = _NUMBERED.search(stanza)
            if found is None:
                self.forged += 1
                continue
            number = int(found[1])
            self.duplicated += number in self.seen
            self.reordered += number < self._highest
            self._highest = max(self._highest, number)
            self.seen.add(number)
            numbers.append(number)
        return numbers


class Replier(Component):
    """A component that sends every numbered stanza back under its number."""

    def __init__(self, domain: str, secret: str, reply: bytes) -> None:
        super().__init__(domain, secret)
        self.arrivals = Arrivals()
        self._template = reply

    def count(self, octets: bytes) -> None:
        """Answer what is complete."""
        if numbers := self.arrivals.take(octets):
            self.write(b"".join(numbered(self._template, number) for number in numbers))


class Metronome(Remote):
    """A remote server that sends by the clock and times what comes back."""

    def __init__(self, pair: DomainPair, context: SSL.Context, per_second: int) -> None:
        super().__init__(pair, context)
        self.arrivals = Arrivals()
        self.sent = 0
        self.latencies_s: list[float] = []
        """From the schedule to the reply, in the order of arrival."""
        self._stanza = chat(pair.sender, pair.target)
        self.period_s = 1 / per_second
        self._began_s = 0.0

    def count(self, octets: bytes) -> None:
        """Time what is complete."""
        now = self._loop.time()
        for number in self.arrivals.take(octets):
            self.latencies_s.append(now - self._began_s - number * self.period_s)

    async def run(self, until: asyncio.Event) -> None:
        """Send what is due, again and again, until told to stop."""
        self._began_s = self._loop.time()
        while not until.is_set():
            due = int((self._loop.time() - self._began_s) / self.period_s) + 1
            if due > self.sent:
                numbers = range(self.sent, due)
                self.write(b"".join(numbered(self._stanza, number) for number in numbers))
                self.sent = due
            await asyncio.sleep(TICK_S)

    async def settle(self, patience_s: float) -> None:
        """Wait until all that was sent is back, or nothing has come for so long."""
        came = -1
        while len(self.arrivals.seen) < self.sent and came != len(self.latencies_s):
            came = len(self.latencies_s)
            await asyncio.sleep(patience_s)


def quantile_ms(latencies_s: Sequence[float], share: float) -> float:
    """The latency that this share of the stanzas did not exceed; 0 for none."""
    ordered = sorted(latencies_s)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0
