"""Routers on one link: real sockets, TLS and certificates; the link itself is a table."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.authority import Authority
from router.acceptor.certificates.judges import Judges
from router.acceptor.connection import Connection
from router.acceptor.e2e import lan
from router.acceptor.e2e.hub import InnerHub
from router.acceptor.e2e.lan import Lan
from router.acceptor.e2e.link_records import NOWHERE, Place
from router.acceptor.e2e.listing import Listing
from router.acceptor.tls import TlsSession
from router.config import Address, Config, Tls
from router.xmpp import names
from router.xmpp.certificate import Evidence
from router.xmpp.link_local import Presence
from router.xmpp.pair import DomainPair
from router.xmpp.states import Phase
from tests.support.acceptors import HOST, Changing
from tests.support.end_to_end import RELAYS, Side, config_of, other
from tests.support.nodes import CAPULET, MONTAGUE
from tests.support.pump import header

OUT = DomainPair(MONTAGUE, CAPULET)


class Link(Changing):
    """Who is there, and what each says."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, Place] = {}
        self.presences: dict[str, Presence] = {}
        self.listeners: list[Records] = []
        self.asked: list[str] = []

    def say(self, presence: Presence, place: Place = NOWHERE) -> None:
        """Somebody is there."""
        self.presences[presence.name], self.places[presence.name] = presence, place
        for each in self.listeners:
            if each.name != presence.name:
                each.came(presence)
        self.changed()

    def take_back(self, name: str) -> None:
        """Somebody is no more."""
        if self.presences.pop(name, None) is not None:
            for each in self.listeners:
                each.went(name)
        self.changed()


class Records:
    """In the place of multicast DNS."""

    link: Link

    def __init__(
        self, host: str, came: Callable[[Presence], None], went: Callable[[str], None]
    ) -> None:
        self.host, self.came, self.went = host, came, went
        self.name = ""

    async def announce(self, name: str, jid: str, port: int) -> str:
        self.name = name
        self.link.say(Presence(name, (jid,)), Place((self.host,), port))
        return name

    def browse(self) -> None:
        self.link.listeners.append(self)
        self.link.changed()
        for name, presence in list(self.link.presences.items()):
            if name != self.name:
                self.came(presence)

    async def place(self, name: str) -> Place:
        self.link.asked.append(name)
        self.link.changed()
        return self.link.places[name]

    def leave(self) -> None:
        if self in self.link.listeners:
            self.link.listeners.remove(self)
        self.link.take_back(self.name)

    async def close(self) -> None:
        self.leave()


class OnLink(Side):
    """One router, whose peers' certificates are judged for what they are."""

    def __init__(self, domain: str, config: Config) -> None:
        self.judges = Judges(config)
        super().__init__(domain, config)
        around: Any = self
        hub = InnerHub(around, self.openings, around, around, around, self._frame)
        address = Address(HOST, 0)
        self.lan = Lan(self._loop, config, address, Listing(config.e2e), self.openings, hub)

    def evidence(self, connection: Connection, session: TlsSession | None) -> Evidence:
        return self.judges.evidence(connection, session)

    def open_streams(self) -> list[Connection]:
        return [each for each in self.streams() if each.core.phase is Phase.OPEN]


Start = Callable[..., OnLink]


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> Iterator[Link]:
    table = Link()
    monkeypatch.setattr(Records, "link", table, raising=False)
    monkeypatch.setattr(lan, "LinkRecords", Records)
    yield table


@pytest.fixture
async def start(authority: Authority, link: Link) -> AsyncIterator[Start]:
    sides: list[OnLink] = []

    def one(domain: str, *, issuer: Authority = authority, **e2e: Any) -> OnLink:
        issuer.issue(RELAYS[domain])
        settings = {"lan": Address(HOST, 0), "lan_name": f"router@{domain}", **e2e}
        config = config_of(domain, authority, **settings)
        tls = Tls(certificates=issuer.directory, trust_anchors=str(authority.anchors))
        side = OnLink(domain, replace(config, tls=tls))
        sides.append(side)
        side.lan.begin()
        return side

    yield one
    for side in sides:
        side.lan.close()
    for side in sides:
        await side.until(lambda: side.streams() == [])  # noqa: B023


@pytest.mark.clause("LLP-02", "LLP-04")
async def test_two_that_list_each_other_are_joined_by_one_stream(start: Start, link: Link) -> None:
    here, there = start(MONTAGUE), start(CAPULET)
    await here.until(lambda: here.granted() == [OUT])
    await there.until(lambda: there.granted() == [OUT.inverse()])
    assert [each.direction for side in (there, here) for each in side.open_streams()] == [
        "out",
        "in",
    ]
    assert all(each.session is not None for each in here.open_streams())
    assert link.asked == [f"router@{MONTAGUE}"]


@pytest.mark.clause("LLP-05")
@pytest.mark.parametrize("domain", [MONTAGUE, CAPULET])
async def test_who_only_claims_to_be_listed_gets_nothing(
    start: Start, tmp_path: Path, domain: str
) -> None:
    """The impostor is the one that is dialled, or the one that dials."""
    honest = start(other(domain))
    impostor = start(domain, issuer=Authority.make(tmp_path / "impostor"))
    await honest.until(lambda: bool(honest.lost_streams))
    await impostor.until(lambda: bool(impostor.lost_streams))
    assert honest.granted() == []
    assert honest.runs == []


@pytest.mark.clause("LLP-05")
async def test_who_is_not_listed_is_neither_sought_nor_let_in(start: Start, link: Link) -> None:
    """The other has a certificate, and lists us."""
    here = start(MONTAGUE, express=(), accept=("verona.example",))
    there = start(CAPULET)
    await there.until(lambda: bool(there.lost_streams))
    await here.until(lambda: bool(here.lost_streams))
    assert (here.granted(), there.granted()) == ([], [])
    assert [each.name for each in link.listeners] == [f"router@{CAPULET}"]
    assert f"router@{CAPULET}" not in link.asked


@pytest.mark.clause("LLP-02")
async def test_a_peer_that_says_nothing_of_itself_is_let_in(start: Start, link: Link) -> None:
    here, there = start(MONTAGUE), start(CAPULET)
    link.presences[f"router@{CAPULET}"] = Presence(f"router@{CAPULET}")
    await here.until(lambda: here.granted() == [OUT])
    await there.until(lambda: there.granted() == [OUT.inverse()])


async def test_another_with_the_same_claim_is_tried_next(
    start: Start, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.acceptor.e2e.express.LONGEST_S", 0.01)
    link.say(Presence("mallory@pronto", (RELAYS[MONTAGUE],)), NOWHERE)
    there = start(CAPULET)
    await link.until(lambda: bool(link.asked))
    start(MONTAGUE, express=(), accept=(RELAYS[CAPULET],))
    await there.until(lambda: there.granted() == [OUT.inverse()])
    assert {"mallory@pronto", f"router@{MONTAGUE}"} <= set(link.asked)


@pytest.mark.clause("LLP-03")
async def test_who_leaves_says_goodbye_and_closes_in_order(start: Start, link: Link) -> None:
    here, there = start(MONTAGUE), start(CAPULET)
    await here.until(lambda: here.granted() == [OUT])
    (stream,) = there.streams()
    here.lan.close()
    await link.until(lambda: f"router@{MONTAGUE}" not in link.presences)
    await there.until(lambda: there.streams() == [])
    assert stream.end is not None
    assert (stream.end.condition, stream.end.abrupt) == (None, False)


async def test_a_link_that_cannot_be_used_is_tried_again(
    start: Start, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [OSError("no such device"), OSError("no name is free")]
    announce = Records.announce

    async def refused(self: Records, *what: Any) -> str:
        if refusals:
            raise refusals.pop()
        return await announce(self, *what)

    monkeypatch.setattr(lan, "AGAIN_S", 0.01)
    monkeypatch.setattr(Records, "announce", refused)
    start(MONTAGUE)
    await link.until(lambda: bool(link.listeners))


@pytest.mark.parametrize("limit", ["MAX_STRANGERS", "MAX_STREAMS"])
async def test_strangers_are_let_in_up_to_a_number(
    start: Start, link: Link, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(lan, limit, 1)
    start(MONTAGUE)
    await link.until(lambda: bool(link.listeners))
    port = link.places[f"router@{MONTAGUE}"].port
    reader, first = await asyncio.open_connection(HOST, port)
    first.write(header("juliet@pronto", f"router@{MONTAGUE}", content=names.CLIENT).encode())
    assert b"<starttls" in await reader.readuntil(b"</stream:features>")
    reader, second = await asyncio.open_connection(HOST, port)
    with suppress(ConnectionResetError):
        assert await reader.read() == b""
    for writer in (first, second):
        writer.close()
