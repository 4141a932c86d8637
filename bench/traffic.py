"""Messages and pings both ways between two XEP-0114 components, and what became of each of them.

`Record` judges, without a network; `exchange` drives two `Correspondent`s with slixmpp, a bounded
number of stanzas under way, since slixmpp is slower than what it exercises.
Called by the demo and by tests of whole processes. Not a benchmark: the generator is the limit.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from slixmpp import JID, ComponentXMPP, Message
from slixmpp.exceptions import IqError, IqTimeout

from bench.peers.daemon import DaemonError

HOST: Final = "127.0.0.1"
ATTACH_TIMEOUT_S: Final = 10
SETTLE_S: Final = 0.2
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
    def missing(self) -> int:
        """Messages and answers that should be there and are not."""
        return self.lost + self.unanswered + self.unsent

    @property
    def flawless(self) -> bool:
        """Everything that was to be sent arrived once and in order, and every ping was answered."""
        surplus = self.duplicated + self.reordered + self.unexpected + self.refused
        return not self.missing and not surplus


@dataclass(slots=True)
class Record:
    """What was sent and what arrived. Messages are numbered from 0 on each route."""

    messages_planned: int
    pings_planned: int
    pings_sent: int = 0
    pings_answered: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)
    _sent: Counter[Route] = field(default_factory=Counter)
    _seen: dict[Route, set[int]] = field(default_factory=dict)
    _highest: dict[Route, int] = field(default_factory=dict)
    _duplicated: int = 0
    _reordered: int = 0
    _unexpected: int = 0

    def send(self, route: Route) -> int:
        """The number of the route's next message."""
        number = self._sent[route]
        self._sent[route] = number + 1
        return number

    def arrive(self, route: Route, number: int) -> bool:
        """A message is there, any number from anybody; whether it is one that was due."""
        seen = self._seen.setdefault(route, set())
        if not 0 <= number < self._sent[route]:
            self._unexpected += 1
            return False
        if number in seen:
            self._duplicated += 1
            return False
        highest = self._highest.get(route, -1)
        self._reordered += number < highest
        self._highest[route] = max(number, highest)
        seen.add(number)
        return True

    def refuse(self, reason: str) -> None:
        """An error came back for a message or a ping."""
        self.refused += 1
        self.note(reason)

    def note(self, reason: str) -> None:
        """Keep the first few reasons."""
        if len(self.errors) < KEPT_ERRORS:
            self.errors.append(reason)

    def findings(self) -> Findings:
        """The verdict so far; what is under way counts as lost or unanswered.

        A message that was refused is lost, too, and a ping that was refused is unanswered.
        """
        messages = self._sent.total()
        planned = self.messages_planned + self.pings_planned
        return Findings(
            messages=messages,
            pings=self.pings_sent,
            lost=messages - sum(map(len, self._seen.values())),
            duplicated=self._duplicated,
            reordered=self._reordered,
            unexpected=self._unexpected,
            unanswered=self.pings_sent - self.pings_answered,
            unsent=planned - messages - self.pings_sent,
            refused=self.refused,
            errors=tuple(self.errors),
        )


class Correspondent(ComponentXMPP):
    """A hosted domain: answers pings, and reports what comes in to whoever set the callbacks."""

    def __init__(self, domain: str, secret: str, port: int) -> None:
        # Without fix_error_ns slixmpp reads every error's condition as feature-not-implemented.
        super().__init__(domain, secret, HOST, port, fix_error_ns=True)  # type: ignore[no-untyped-call]
        self.domain = domain
        self.register_plugin("xep_0199")
        self.add_event_handler("message", self._message)
        self.add_event_handler("message_error", self._error)
        self.on_message: Callable[[Route, int], None] = lambda route, number: None
        self.on_error: Callable[[str], None] = lambda reason: None

    def send_numbered(self, route: Route, number: int) -> None:
        """One message whose body is its number."""
        sender, target = JID(route.sender), JID(route.target)
        self.send_message(mto=target, mfrom=sender, mbody=str(number), mtype="chat")

    async def ping(self, route: Route, timeout_s: float) -> None:
        """Return when the answer is there. Raises slixmpp's IqError or IqTimeout."""
        plugin = self.plugin["xep_0199"]
        await plugin.send_ping(JID(route.target), ifrom=JID(route.sender), timeout=timeout_s)

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
    """A correspondent for as long as the block lasts. Raises `DaemonError` when not let in."""
    correspondent = Correspondent(domain, secret, port)
    correspondent.connect()
    try:
        try:
            await correspondent.wait_until("session_start", ATTACH_TIMEOUT_S)
        except TimeoutError:
            reason = f"component {domain}: not attached after {ATTACH_TIMEOUT_S} s"
            raise DaemonError(reason) from None
        yield correspondent
    finally:
        correspondent.cancel_connection_attempt()
        await correspondent.disconnect()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One run: the verdict, and how long it took from the first stanza to the last."""

    findings: Findings
    elapsed_s: float

    @property
    def stanzas(self) -> int:
        """Messages, pings and their answers that got through."""
        found = self.findings
        return found.messages - found.lost + 2 * (found.pings - found.unanswered)

    @property
    def stanzas_per_s(self) -> float:
        """Both directions together."""
        return self.stanzas / self.elapsed_s if self.elapsed_s else 0.0


class _Course:
    """One direction of an exchange: sends, and settles what arrives, is answered or refused."""

    def __init__(
        self,
        record: Record,
        ends: tuple[Correspondent, Correspondent],
        in_flight: int,
        patience_s: float,
        moved: Callable[[], None],
    ) -> None:
        self._record = record
        self._here, there = ends
        self._window = asyncio.Semaphore(in_flight)
        self._patience_s = patience_s
        self._moved = moved
        self._pings: set[asyncio.Task[None]] = set()
        self._here.on_error = self._refused
        there.on_message = self._arrived

    async def run(self, routes: Sequence[Route], messages: int, pings: int) -> None:
        """Send all, messages and pings in turn; the end of the answers is not waited for."""
        for turn in range(max(messages, pings)):
            route = routes[turn % len(routes)]
            if turn < messages:
                await self._window.acquire()
                self._here.send_numbered(route, self._record.send(route))
            if turn < pings:
                await self._window.acquire()
                self._record.pings_sent += 1
                task = asyncio.create_task(self._ping(route))
                self._pings.add(task)
                task.add_done_callback(self._pings.discard)

    def cancel(self) -> None:
        """Wait for no answer any more."""
        for task in self._pings:
            task.cancel()

    async def _ping(self, route: Route) -> None:
        try:
            await self._here.ping(route, self._patience_s)
        except IqError as error:
            self._record.refuse(f"ping to {route.target}: {error.condition} {error.text}".rstrip())
        except IqTimeout:
            self._record.note(f"ping to {route.target}: no answer in {self._patience_s:g} s")
        else:
            self._record.pings_answered += 1
        self._settled()

    def _arrived(self, route: Route, number: int) -> None:
        if self._record.arrive(route, number):
            self._settled()

    def _refused(self, reason: str) -> None:
        self._record.refuse(reason)
        self._settled()

    def _settled(self) -> None:
        self._window.release()
        self._moved()


async def exchange(
    one: Correspondent,
    other: Correspondent,
    *,
    messages: int,
    pings: int,
    users: int = 4,
    in_flight: int = 64,
    patience_s: float = 10,
    progress: Callable[[int], None] = lambda settled: None,
) -> Exchange:
    """Send so many messages and pings each way, in turn, and wait until all are settled.

    `users` on each side write to their counterparts; of each direction at most `in_flight` messages
    and pings are under way. Gives up, without an exception, when nothing was settled for
    `patience_s`. `progress` gets the number settled so far, of 2 * (messages + pings).
    """
    loop = asyncio.get_running_loop()
    record = Record(2 * messages, 2 * pings)
    news = asyncio.Event()
    settled, last_s = 0, loop.time()

    def moved() -> None:
        nonlocal settled, last_s
        settled, last_s = settled + 1, loop.time()
        news.set()

    began_s = last_s
    courses = [
        (_Course(record, ends, in_flight, patience_s, moved), _routes(*ends, users))
        for ends in ((one, other), (other, one))
    ]
    async with asyncio.TaskGroup() as group:
        work = [group.create_task(course.run(each, messages, pings)) for course, each in courses]
        try:
            while settled < 2 * (messages + pings):
                async with asyncio.timeout(patience_s):
                    await news.wait()
                news.clear()
                progress(settled)
            # One more of anything would be one too many, and comes at once if it comes.
            await asyncio.sleep(SETTLE_S)
        except TimeoutError:
            record.note(f"nothing came for {patience_s:g} s")
        finally:
            for task in work:
                task.cancel()
            for course, _ in courses:
                course.cancel()
    return Exchange(record.findings(), last_s - began_s)


def _routes(here: Correspondent, there: Correspondent, users: int) -> list[Route]:
    return [
        Route(f"user{n}@{here.domain}/desk", f"user{n}@{there.domain}/desk") for n in range(users)
    ]
