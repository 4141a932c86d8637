"""Dials, and the streams they lead to or share. The dialer keeps them and moves them along."""

import asyncio
from collections.abc import Collection
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
    the target tried last, for the log; `over` gets what came of the whole dial; `urged` is done
    while there are keys, for then somebody else waits for us, who may be whom we wait for.
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
    urged: "asyncio.Future[None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def urge(self) -> None:
        """Let it wait for nobody any more."""
        if not self.urged.done():
            self.urged.set_result(None)

    def calm(self) -> None:
        """Nobody waits for it any more: its keys are asked about elsewhere."""
        if self.urged.done():
            self.urged = self.urged.get_loop().create_future()

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

    async def ending(self) -> Outcome:
        """What comes of waiting for the stream that the dial has joined."""
        assert self.ended is not None
        outcome = await self.ended
        if outcome.error is not None:
            self.leave()
        return outcome


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
        found = self._to(dial.places)
        return sorted((each for each in found if each.number < dial.number), key=_number)

    def connections(self, places: Collection[Place]) -> list[Connection]:
        """The connections to one of the places that somebody still waits for."""
        return [each.line.connection for each in self._to(places) if each.line is not None]

    def _to(self, places: Collection[Place]) -> set[Dial]:
        return {each for place in places for each in self._at.get(place, ())}


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


class Lines:
    """The streams that dials use, by the number of their connection."""

    def __init__(self) -> None:
        self._lines: dict[int, Line] = {}

    def opened(self, connection: Connection, approach: Approach) -> Line:
        """A stream of ours is about to be opened."""
        line = self._lines[connection.number] = Line(connection, approach)
        return line

    def of(self, connection: Connection) -> Line:
        """The line of an open stream, which the peer may have opened."""
        return self.find(connection) or self.opened(connection, Approach())

    def find(self, connection: Connection) -> Line | None:
        """The line of a stream, if any dial ever used it."""
        return self._lines.get(connection.number)

    def gone(self, connection: Connection) -> Line | None:
        """The stream is over; its line, if it had one."""
        return self._lines.pop(connection.number, None)
