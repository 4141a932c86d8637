"""Dials, and the streams they lead to or share. The dialer keeps them and moves them along."""

import asyncio
from dataclasses import dataclass, field

from router.acceptor.connection import Connection
from router.acceptor.dialling.attempts import Approach, Outcome
from router.acceptor.dialling.sharing import Place
from router.wire.frames import VerifyKey
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.states import Phase


@dataclass(slots=True, eq=False)
class Dial:
    """A dial under way, or the stream it led to. `keys` wait for a stream to be asked on.

    `number` grows from dial to dial; `places` are those of its best target, once known; `tried` is
    the target tried last, for the log; `over` gets what came of the whole dial.
    """

    pair: DomainPair
    number: int
    over: "asyncio.Future[Outcome]"
    places: frozenset[Place] = frozenset()
    tried: str = ""
    line: "Line | None" = None
    authorised: bool = False
    for_stanzas: bool = False
    ended: "asyncio.Future[Outcome] | None" = None
    keys: list[VerifyKey] = field(default_factory=list)

    def join(self, line: "Line", ended: "asyncio.Future[Outcome]") -> None:
        """Be one of those who wait for this stream, until `ended` has the outcome."""
        line.dials.append(self)
        self.line, self.ended = line, ended

    def leave(self) -> None:
        """Wait for that stream no more."""
        if self.line is not None and self in self.line.dials:
            self.line.dials.remove(self)
        self.line = None

    def settle(self, outcome: Outcome) -> bool:
        """End the waiting; False when nobody waited."""
        if self.ended is None or self.ended.done():
            return False
        self.ended.set_result(outcome)
        return True


class UnderWay:
    """Dials that know their places and are not over, by place."""

    def __init__(self) -> None:
        self._at: dict[Place, set[Dial]] = {}

    def add(self, dial: Dial) -> None:
        """Its places are known now."""
        for place in dial.places:
            self._at.setdefault(place, set()).add(dial)

    def remove(self, dial: Dial) -> None:
        """It is over: nobody need wait for it. One without places was never here."""
        for place in dial.places:
            self._at[place].remove(dial)
            if not self._at[place]:
                del self._at[place]

    def before(self, dial: Dial) -> list[Dial]:
        """Those that began before it and have a place in common with it, the first one first."""
        found = {each for place in dial.places for each in self._at.get(place, ())}
        return sorted((each for each in found if each.number < dial.number), key=_number)


def _number(dial: Dial) -> int:
    return dial.number


@dataclass(slots=True, eq=False)
class Line:
    """A stream that dials use, in the order they came to it, and the keys asked on it."""

    connection: Connection
    approach: Approach
    dials: list[Dial] = field(default_factory=list)
    asked: dict[tuple[DomainPair, str], list[VerifyKey]] = field(default_factory=dict)

    def is_useless(self) -> bool:
        """Whether the stream is open, and nobody has or waits for anything on it."""
        is_open = self.connection.end is None
        return is_open and not (self.dials or self.asked or self.connection.core.grants.proved())

    def answers_for(self, frame: VerifyKey) -> bool:
        """Whether this is a stream to ask about the key on (XEP-0220 §2.1.2).

        Our own, to the key's domain, and never the one that brought the key (BIDI-18).
        """
        core = self.connection.core
        return (
            isinstance(core, InitiatingStream)
            and self.connection.end is None
            and core.phase is not Phase.CLOSING
            and core.may_verify(frame.pair)
            and core.stream_id != frame.stream_id
        )
