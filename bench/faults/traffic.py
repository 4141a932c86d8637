"""What the fault experiments send: numbered messages between JID pairs, and their parser. Pure.

A number is used once in a whole run, so an id alone tells which stanza it is. Called by `recorder`,
`ends` and `stage`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.remote import MARK
from router.xmpp.pair import DomainPair
from router.xmpp.writer import CLOSING_TAG

STANZA_BYTES: Final = 300
_ID: Final = re.compile(rb" id=['\"]n(\d{9})['\"]")
_ERROR: Final = re.compile(rb" type=['\"]error['\"]")
_CONDITION: Final = re.compile(rb"<error[^>]*><([\w-]+)")
_TEXT: Final = re.compile(rb"<text[^>]*>([^<]*)<")
_STREAM_ERROR: Final = re.compile(rb"<stream:error[^>]*><([\w-]+)")
_FILLING: Final = "But, soft! what light through yonder window breaks? "


@dataclass(frozen=True, slots=True)
class Flow:
    """What one JID sends to another; a stanza is `head`, nine digits, `tail`."""

    pair: DomainPair
    head: bytes
    tail: bytes

    def stanza(self, number: int) -> bytes:
        """The one of this number."""
        return b"%b%09d%b" % (self.head, number, self.tail)


@dataclass(frozen=True, slots=True)
class Bounce:
    """An error that came back: for which stanza, and why ("remote-server-timeout: no stream")."""

    number: int
    reason: str


def flow(pair: DomainPair, user: int, body: str = "", size_bytes: int = STANZA_BYTES) -> Flow:
    """The flow of one JID pair. The body is filled up to `size_bytes` where it is shorter."""
    head = (
        f"<message from='romeo{user}@{pair.sender}/orchard' to='juliet{user}@{pair.target}/balcony'"
        " type='chat' id='n"
    )
    begin, end = f"'><body>{body}", "</body></message>"
    room = size_bytes - len(head) - 9 - len(begin) - len(end)
    text = (_FILLING * (max(0, room) // len(_FILLING) + 1))[: max(0, room)]
    return Flow(pair, head.encode(), (begin + text + end).encode())


def flows(pairs: Sequence[DomainPair], jid_pairs: int) -> list[Flow]:
    """So many JID pairs, of the domain pairs in turn."""
    return [flow(pairs[user % len(pairs)], user) for user in range(jid_pairs)]


class Parser:
    """Cuts octets of our stanzas, and of errors made of them, into numbers."""

    def __init__(self) -> None:
        self._rest = b""
        self.strange = 0
        """Stanzas without a number of ours."""

    def feed(self, octets: bytes) -> tuple[list[int], list[Bounce]]:
        """What these octets complete: messages by number, and errors."""
        whole, mark, rest = (self._rest + octets).rpartition(MARK)
        self._rest = rest
        if not mark:
            return [], []
        if b"error" in whole:
            return self._one_by_one(whole)
        numbers = [int(each) for each in _ID.findall(whole)]
        self.strange += whole.count(MARK) + 1 - len(numbers)
        return numbers, []

    def _one_by_one(self, whole: bytes) -> tuple[list[int], list[Bounce]]:
        numbers: list[int] = []
        bounces: list[Bounce] = []
        for stanza in whole.split(MARK):
            found = _ID.search(stanza)
            if found is None:
                self.strange += 1
            elif _ERROR.search(stanza[: stanza.find(b">", found.end()) + 1]):
                bounces.append(Bounce(int(found[1]), _reason(stanza)))
            else:
                numbers.append(int(found[1]))
        return numbers, bounces

    @property
    def is_over(self) -> bool:
        """Whether the last that came was the end of the stream."""
        return self._rest.endswith(CLOSING_TAG)

    @property
    def stream_error(self) -> str:
        """The condition with which the stream ended; empty for none."""
        found = _STREAM_ERROR.search(self._rest)
        return found[1].decode() if found else ""

    def skip(self, octets: bytes) -> None:
        """Others have taken the stanzas that end in these octets; one may begin in them."""
        self._rest = octets.rpartition(MARK)[2] if MARK in octets else b""


def _reason(stanza: bytes) -> str:
    condition, text = _CONDITION.search(stanza), _TEXT.search(stanza)
    words = [found[1].decode(errors="replace") for found in (condition, text) if found]
    return ": ".join(words)
