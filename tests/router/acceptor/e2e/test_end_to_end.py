"""The parts joined in an acceptor: asked for only where there can be sessions, and given up."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bench.authority import Authority
from router.acceptor.e2e.end_to_end import EndToEnd
from router.acceptor.openings import Openings
from router.config import Address, Config, E2e
from router.wire.frames import Attach, AttachAnswer, Attached, Detached, Frame
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from tests.support.acceptors import Changing
from tests.support.end_to_end import RELAYS, config_of
from tests.support.nodes import CAPULET, MONTAGUE

OURS = DomainPair(RELAYS[MONTAGUE], RELAYS[CAPULET])


class Acceptor(Changing):
    """What surrounds it in an acceptor."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        around: Any = self
        loop = asyncio.get_running_loop()
        self.told: list[Frame] = []
        self.said: list[tuple[DomainPair, bytes]] = []
        self.attached: dict[str, Any] = {}
        self.openings = Openings(around, loop, config)
        self.parts = EndToEnd(config)
        self.parts.begin(around, loop, self.openings, around, around, around, around, self.attached)

    def to_shard(self, shard: int, frame: Frame) -> None:
        self.told.append(frame)
        self.changed()

    def to_all_workers(self, frame: Frame) -> None:
        self.told.append(frame)

    def send(self, pair: DomainPair, counts: Counts, octets: bytes) -> None:
        self.said.append((pair, octets))
        self.changed()

    async def holding(self) -> "Acceptor":
        await self.until(lambda: bool(self.told))
        (asked,) = self.told
        assert isinstance(asked, Attach)
        self.parts.answered(AttachAnswer(asked.request + 1, True))  # somebody else's
        assert not self.parts.is_here()
        self.parts.answered(AttachAnswer(asked.request, True))
        return self


@pytest.fixture
def config(authority: Authority) -> Config:
    authority.issue(RELAYS[MONTAGUE])
    return config_of(MONTAGUE, authority)


@pytest.mark.parametrize("e2e", [E2e(), E2e(RELAYS[MONTAGUE])])
async def test_without_anybody_to_talk_to_nothing_is_asked_for(e2e: E2e) -> None:
    acceptor = Acceptor(Config(e2e=e2e))
    acceptor.parts.drain()
    acceptor.parts.close()
    assert (acceptor.openings.open, acceptor.told, acceptor.parts.rows()) == ({}, [], [])


async def test_who_has_the_address_opens_sessions_and_hears_what_came_of_them(
    config: Config,
) -> None:
    acceptor = await Acceptor(config).holding()
    assert isinstance(acceptor.told[-1], Attached)
    acceptor.parts.open(RELAYS[CAPULET])
    ((pair, question),) = acceptor.said
    assert pair == OURS
    assert [row["peer"] for row in acceptor.parts.rows()] == [RELAYS[CAPULET]]
    acceptor.parts.undelivered(OURS, question, StanzaError.of("remote-server-not-found"))
    assert acceptor.parts.rows() == []
    acceptor.parts.close()


async def test_it_ends_its_sessions_before_it_gives_the_address_up(config: Config) -> None:
    acceptor = await Acceptor(config).holding()
    acceptor.parts.open(RELAYS[CAPULET])
    acceptor.parts.drain()
    assert acceptor.parts.rows() == []
    assert acceptor.parts.is_here()
    acceptor.parts.close()
    assert not acceptor.parts.is_here()
    assert isinstance(acceptor.told[-1], Detached)


async def test_where_it_is_set_others_on_the_link_are_looked_for(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    class Lan:
        def __init__(self, *around: Any) -> None:
            done.append(str(around[2]))

        def begin(self) -> None:
            done.append("begin")

        def end(self) -> None:
            done.append("end")

        def close(self) -> None:
            done.append("close")

    monkeypatch.setattr("router.acceptor.e2e.lan.Lan", Lan)
    e2e = replace(config.e2e, lan=Address("127.0.0.1", 5298))
    acceptor = Acceptor(replace(config, e2e=e2e))
    assert done == ["127.0.0.1:5298"]
    await acceptor.holding()
    acceptor.parts.drain()
    acceptor.parts.close()
    assert done[1:4] == ["begin", "close", "end"]
