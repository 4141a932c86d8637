"""Messages and pings both ways between two XEP-0114 components, and what became of each of them.

`Record` judges, without a network; `exchange` drives two `Correspondent`s with slixmpp, a bounded
number of stanzas under way, since slixmpp is slower than what it exercises.
Called by the demo and by tests of whole processes. Not a benchmark: the generator is the limit.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from slixmpp import ComponentXMPP, Iq, Message
from slixmpp.exceptions import IqError, IqTimeout

HOST: Final = "127.0.0.1"
ATTACH_TIMEOUT_S: Final = 10
KEPT_ERRORS: Final = 20


class Route(NamedTuple):
    """Order is promised within one of these: from one JID to another."""

    sender: str
    target: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What a `Record` comes to, in stanzas. `errors` are the first few, as text."""

    messages: int
    pings: int
    lost: int
    duplicated: int
    reordered: int
    unexpected: int
    unanswered: int
    unsent: int
    refused: int
    errors: tuple[str, ...] = ()

    @property
    def flawless(self) -> bool:
        """Everything that was to be sent arrived once and in order, and every ping was answered."""
        faults = (self.lost, self.duplicated, self.reordered, self.unexpected, self.refused)
        return not any((*faults, self.unanswered, self.unsent))


@dataclass(slots=True)
class Record:
    """What was sent and what arrived. Messages are numbered from 0 on each route."""

    messages_planned: int
    pings_planned: int
    sent: dict[Route, int] = field(default_factory=dict)
    arrived: dict[Route, list[int]] = field(default_factory=dict)
    pings_sent: int = 0
    pings_answered: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)

    def send(self, route: Route) -> int:
        """The number of the route's next message."""
        number = self.sent.get(route, 0)
        self.sent[route] = number + 1
        return number

    def arrive(self, route: Route, number: int) -> None:
        """A message is there; any number, from anybody."""
        self.arrived.setdefault(route, []).append(number)

    def refuse(self, reason: str) -> None:
        """An error came back for a message or a ping."""
        self.refused += 1
        if len(self.errors) < KEPT_ERRORS:
            self.errors.append(reason)

    def findings(self) -> Findings:
        """The verdict so far; what is under way counts as lost or unanswered."""
        lost = duplicated = reordered = unexpected = 0
        for route in self.sent.keys() | self.arrived.keys():
            count = self.sent.get(route, 0)
            numbers = self.arrived.get(route, [])
            known = [number for number in numbers if 0 <= number < count]
            unexpected += len(numbers) - len(known)
            lost += count - len(set(known))
            duplicated += len(known) - len(set(known))
            reordered += _overtaken(known)
        messages_sent = sum(self.sent.values())
        return Findings(
            messages=messages_sent,
            pings=self.pings_sent,
            lost=lost,
            duplicated=duplicated,
            reordered=reordered,
            unexpected=unexpected,
            unanswered=self.pings_sent - self.pings_answered,
            unsent=self.messages_planned + self.pings_planned - messages_sent - self.pings_sent,
            refused=self.refused,
            errors=tuple(self.errors),
        )


def _overtaken(numbers: list[int]) -> int:
    """How many came, for the first time, after one with a higher number."""
    highest, late, seen = -1, 0, set[int]()
    for number in numbers:
        late += number < highest and number not in seen
        highest = max(highest, number)
        seen.add(number)
    return late


class Correspondent(ComponentXMPP):
    """A hosted domain: answers pings, and reports what comes in to whoever set the callbacks."""

    def __init__(self, domain: str, secret: str, port: int) -> None:
        # Without fix_error_ns slixmpp reads every error's condition as feature-not-implemented.
        super().__init__(domain, secret, HOST, port, fix_error_ns=True)
        self.domain = domain
        self.register_plugin("xep_0199")
        self.add_event_handler("message", self._message)
        self.add_event_handler("message_error", self._error)
        self.on_message: Callable[[Route, int], None] = lambda route, number: None
        self.on_error: Callable[[str], None] = lambda reason: None

    def send_numbered(self, route: Route, number: int) -> None:
        """One message whose body is its number."""
        self.send_message(mto=route.target, mfrom=route.sender, mbody=str(number), mtype="chat")

    async def ping(self, route: Route, timeout_s: float) -> str:
        """Ping and wait; "" when the answer came, else what went wrong."""
        plugin = self.plugin["xep_0199"]
        try:
            await plugin.send_ping(route.target, ifrom=route.sender, timeout=timeout_s)
        except IqError as error:
            return f"ping to {route.target}: {error.condition} {error.text}".rstrip()
        except IqTimeout:
            return f"ping to {route.target}: no answer in {timeout_s:g} s"
        return ""

    def _message(self, message: Message) -> None:
        body = message["body"]
        number = int(body) if body.isdecimal() else -1
        self.on_message(Route(str(message["from"]), str(message["to"])), number)

    def _error(self, message: Message) -> None:
        error = message["error"]
        reason = f"{error['condition']} {error['text']}".rstrip()
        self.on_error(f"message to {message['from']}: {reason}")


@asynccontextmanager
async def attached(domain: str, secret: str, port: int) -> AsyncIterator[Correspondent]:
    """A correspondent for as long as the block lasts. Raises TimeoutError when not let in."""
    correspondent = Correspondent(domain, secret, port)
    correspondent.connect()
    try:
        await correspondent.wait_until("session_start", ATTACH_TIMEOUT_S)
        yield correspondent
    finally:
        await correspondent.disconnect()
