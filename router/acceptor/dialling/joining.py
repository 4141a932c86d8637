"""Streams that others have opened, or are opening, and that a dial or a key may use.

Waits for who goes to the same server, asks for the pair there, asks about keys there; whether a
stream will do is `sharing`'s to say. Called by the dialer before it connects.
"""

import asyncio
from collections.abc import Collection
from typing import Final

from router.acceptor.connection import Connection
from router.acceptor.dialling.attempts import Outcome
from router.acceptor.dialling.findings import Findings
from router.acceptor.dialling.keys import Keys
from router.acceptor.dialling.lines import Dial, Lines, UnderWay
from router.acceptor.dialling.sharing import Place, Sharing
from router.acceptor.dialling.turns import Turns
from router.acceptor.history import History
from router.wire.frames import VerifyKey
from router.xmpp.s2s import ServerStream

ASKING: Final = 16
"""Our keys that a peer has to verify at once on one stream: our own `pending_verifications`."""

_LEADER_S: Final = 10.0


class Joining:
    """What dials to the same places share, by what `sharing` allows."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sharing: Sharing,
        findings: Findings,
        history: History,
        lines: Lines,
        keys: Keys,
    ) -> None:
        self._loop = loop
        self._sharing = sharing
        self._findings = findings
        self._history = history
        self._lines = lines
        self._keys = keys
        self._under_way = UnderWay()
        self._asking = Turns(ASKING)

    def came(self, dial: Dial) -> None:
        """The places of the dial are known now."""
        self._under_way.add(dial)

    def over(self, dial: Dial) -> None:
        """The dial has an outcome."""
        self._under_way.remove(dial)

    async def let_others_first(self, dial: Dial) -> None:
        """Wait for the first dial that opens a stream which may take this pair as well.

        Many pairs that need the same server at once, as after a start, then end up on one stream.
        Where that stream takes no other pair, neither will the next: so nobody waits for a second.
        Who has keys waits for nobody: the first may wait for the peer, and the peer for these.
        """
        if self._has_keys_left(dial):
            return
        earlier = self._under_way.before(dial)
        may_lead = (each for each in earlier if self._sharing.may_follow(each.pair, dial.pair))
        if (leader := next(may_lead, None)) is not None:
            either = (leader.over, dial.urged)
            await asyncio.wait(either, timeout=_LEADER_S, return_when=asyncio.FIRST_COMPLETED)

    async def share(self, dial: Dial) -> Outcome | None:
        """What came of asking a stream for other pairs to take this one; None without such one.

        Its keys are asked about first. Where that cannot be it needs a stream of its own anyway.
        """
        if self._has_keys_left(dial):
            return None
        connection = self._sharing.find(dial.pair, dial.places)
        if connection is None:
            return None
        if self._sharing.proves_by_certificate(connection, dial.pair):
            return await self._ask_for(dial, connection)
        try:
            turn = await self._asking.come(connection.number, dial.urged)
        except TimeoutError:
            return None
        try:
            still = self._sharing.find(dial.pair, dial.places)
            if still is None or self._has_keys_left(dial):
                return None
            return await self._ask_for(dial, still)
        finally:
            self._asking.end(turn)

    def _has_keys_left(self, dial: Dial) -> bool:
        dial.keys = [key for key in dial.keys if not self.ask_about(key, dial.places)]
        if not dial.keys:
            dial.calm()
        return bool(dial.keys)

    async def _ask_for(self, dial: Dial, connection: Connection) -> Outcome:
        pair, core = dial.pair, connection.core
        self._history.note(*pair, "chosen", stream=connection.number, shared=True)
        dial.join(self._lines.of(connection), self._loop.create_future())
        assert isinstance(core, ServerStream)
        connection.act(core.ask_for(pair, self._loop.time()))
        outcome = await dial.ending()
        self._findings.asked(connection, pair, outcome)
        return outcome

    def ask_about(self, frame: VerifyKey, places: Collection[Place]) -> bool:
        """Ask about a key whose domain is at `places`; False when no stream will do."""
        opening = self._under_way.connections(places)
        connection = self._sharing.for_key(frame, places, opening)
        if connection is not None:
            self._keys.ask(self._lines.of(connection), frame, leads_there=True)
        return connection is not None
