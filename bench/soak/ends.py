"""The generator's ends of a soak: they recognise what arrives, answer requests, and come back.

An `Outlet` is the way of one domain pair in one direction: what has to be sent while its stream is
closed waits there. Called by `measure`.
"""

from collections.abc import Callable, Sequence
from typing import Final, Self

from OpenSSL import SSL

from bench.accepting import HOST, Accepting, Dialled, Listener
from bench.remote import Component, Load, Remote
from bench.soak.ledger import Ledger
from bench.soak.traffic import Arrived, Flow, Parser, answer
from router.acceptor.layer import Transport
from router.xmpp.events import Event, RunReceived
from router.xmpp.pair import DomainPair

LEAVING_S: Final = 10.0
Opening = Callable[[], "Speaking"]


class Desk:
    """Settles what arrives at any end, and answers requests by the outlet of the way back."""

    def __init__(self, flows: Sequence[Flow], ledger: Ledger) -> None:
        self.ledger = ledger
        self.outlets: dict[DomainPair, Outlet] = {}
        self._flows = flows

    def take(self, arrived: Arrived) -> None:
        """A stanza has arrived."""
        if arrived.flow >= len(self._flows):
            self.ledger.strange()
            return
        number = arrived.number
        match arrived.type:
            case b"error":
                self.ledger.bounced(arrived.flow, number)
            case b"result":
                self.ledger.delivered(~arrived.flow, number)
            case _:
                self.ledger.delivered(arrived.flow, number)
                if arrived.is_iq:
                    self._answer(self._flows[arrived.flow], number)

    def _answer(self, flow: Flow, number: int) -> None:
        self.ledger.sent(~flow.number, number)
        self.outlets[DomainPair(flow.target, flow.sender)].send(answer(flow, number))


class Hearing(Load):
    """An end that hands each stanza to a desk."""

    def serve(self, desk: Desk) -> Self:
        """To be called before anything arrives."""
        self._desk = desk
        self._parser = Parser()
        return self

    def count(self, octets: bytes) -> None:
        """Hand over what is complete."""
        for arrived in self._parser.feed(octets):
            self._desk.take(arrived)
        for _ in range(self._parser.strange):
            self._desk.ledger.strange()
        self._parser.strange = 0

    def counted(self, events: list[Event], octets: bytes) -> None:
        """As `count`, for the octets with which the negotiation ended."""
        self.count(b"".join(each.octets for each in events if isinstance(each, RunReceived)))
        self._parser.skip(octets)


class HearingRemote(Hearing, Remote):
    """A remote server that dials."""


class HearingComponent(Hearing, Component):
    """A component."""


class _HearingDialled(Hearing, Dialled):
    """A stream that the node opened to a remote domain, and closes when it has another."""

    def count(self, octets: bytes) -> None:
        """Hand over what is complete, and end the stream when the node does."""
        super().count(octets)
        if self._parser.is_over:
            self.close()


Speaking = HearingRemote | HearingComponent


class Outlet:
    """One stream that closes and comes back. `open_end` makes a new end, not yet connected."""

    def __init__(self, open_end: Opening) -> None:
        self._open_end = open_end
        self._end: Speaking | None = None
        self._waiting: list[bytes] = []
        self._port = 0

    @property
    def may_write(self) -> bool:
        """Whether the stream is open and the node keeps up."""
        return self._end is not None and self._end.may_write

    async def open(self, port: int) -> None:
        """Connect, then send what has waited. Raises ConnectionError when refused."""
        end, self._port = self._open_end(), port
        await end.connect(HOST, port)
        if end.closed is not None or end.lost.is_set():
            raise ConnectionError(f"the node refused the generator: {end.closed}")
        self._end = end
        for octets in self._waiting:
            end.write(octets)
        self._waiting.clear()

    def send(self, octets: bytes) -> None:
        """Now, or once the stream is back."""
        if self._end is None:
            self._waiting.append(octets)
        else:
            self._end.write(octets)

    async def leave(self) -> None:
        """Close the stream in order: what is under way to us still arrives."""
        end, self._end = self._end, None
        if end is not None:
            await end.leave(LEAVING_S)

    async def come_back(self) -> None:
        """Leave, and connect anew."""
        await self.leave()
        await self.open(self._port)


def accepting(contexts: dict[str, SSL.Context], desk: Desk) -> Accepting:
    """The remote domains' own ports, for streams that the node opens."""
    home = Accepting(contexts)

    def take(transport: Transport) -> None:
        home.streams.add(_HearingDialled(home, transport).serve(desk))

    home.listener = Listener(take)
    return home
