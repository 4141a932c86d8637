"""SOCKS5 bytestreams between two services: who connects to whom, and what happens if nobody can."""

import asyncio
from typing import Any

import pytest

from bench.authority import Authority
from router.acceptor.e2e import socks5_attempts
from router.acceptor.e2e.socks5_attempts import Socks5, Socks5Bytestream
from router.acceptor.e2e.socks5_links import Link
from router.config import Address, Config, Dial, E2e
from router.xmpp import names
from router.xmpp.bytestreams.s5b_transport import Candidate, CandidateError, S5bOffer
from router.xmpp.pair import DomainPair
from tests.support.acceptors import HOST
from tests.support.end_to_end import Side, joined
from tests.support.eventually import eventually
from tests.support.nodes import CAPULET, MONTAGUE

OUT = DomainPair(MONTAGUE, CAPULET)
STANZA = f"<message from='a@{MONTAGUE}' to='b@{CAPULET}'><body>hi</body></message>".encode()
LISTENING: dict[str, Any] = {"socks5": (Address(HOST, 0),)}


async def started(*sides: Side) -> None:
    for side in sides:
        side.service.socks5.open()
        opening = side.service.socks5._opening
        if opening is not None:
            await opening


@pytest.mark.clause("S5B-03", "S5B-04", "S5B-07")
@pytest.mark.parametrize(
    ("here_listens", "there_listens"), [(True, True), (True, False), (False, True)]
)
async def test_one_side_that_listens_is_enough(
    authority: Authority, here_listens: bool, there_listens: bool
) -> None:
    settings = [LISTENING if listens else None for listens in (here_listens, there_listens)]
    here, there = joined(authority, *settings)
    await started(here, there)
    here.open()
    for side in (here, there):
        await side.until(lambda: bool(side.granted()))  # noqa: B023
        (row,) = side.service.sessions.rows()
        assert (row["transport"], row["tls"]) == ("socks5", "TLSv1.3")
    ((ours,), (theirs,)) = here.streams(), there.streams()
    ours.send_run(OUT, STANZA * 200, 200)
    await there.until(lambda: sum(octets.count(b"hi") for _, octets in there.runs) == 200)
    await eventually(lambda: ours.output()[0] == ours.output()[1])
    theirs.close()
    for side in (here, there):
        await side.until(lambda: not list(side.service.sessions.rows()))  # noqa: B023
        side.service.close()


@pytest.mark.clause("S5B-06", "JXS-05")
async def test_where_nobody_can_connect_the_stream_goes_in_band(authority: Authority) -> None:
    here, there = joined(authority, {"socks5_public": (Address(HOST, 1),), **LISTENING})
    await started(here, there)
    here.open()
    for side in (here, there):
        await side.until(lambda: bool(side.granted()))  # noqa: B023
        (row,) = side.service.sessions.rows()
        assert row["transport"] == "in-band"
        side.service.close()
    assert any(b"transport-replace" in said for said in here.said)
    assert any(b"transport-accept" in said for said in there.said)
    assert names.JINGLE_S5B.encode() in b"".join(here.said)


def offering(**e2e: Any) -> Socks5:
    config = Config(e2e=E2e("relay.example", **e2e), dial=Dial(allow_private_addresses=False))
    return Socks5(asyncio.get_running_loop(), config, lambda address: True)


@pytest.mark.clause("S5B-01", "S5B-02", "S5B-08")
async def test_only_what_others_can_use_is_offered() -> None:
    private = offering(socks5=(Address(HOST, 0),), socks5_public=(Address("10.0.0.1", 1),))
    assert private.offered("peer.example").offer.candidates == ()
    public = (Address("relay.example", 1080), Address("192.0.2.1", 1), Address("8.8.8.8", 2))
    offer = offering(socks5=(Address(HOST, 0),), socks5_public=public).offered("peer.example").offer
    assert [each.place() for each in offer.candidates] == [("relay.example", 1080), ("8.8.8.8", 2)]
    assert offer.candidates[0].priority > offer.candidates[1].priority
    assert len({each.cid for each in offer.candidates} | {offer.sid}) == 3


class Told:
    """A bytestream in the making, and what it says of itself."""

    def __init__(self, candidates: tuple[Candidate, ...] = ()) -> None:
        loop = asyncio.get_running_loop()
        self.said: list[Any] = []
        self.failures: list[str] = []
        self.links: list[Link] = []
        self.stream = Socks5Bytestream(
            loop, S5bOffer("s"), "us.example", "peer.example", allow_private=True
        )
        self.stream.say = self.said.append
        self.stream.failed = self.failures.append
        self.stream.ready = self.links.append
        self.stream.begin(S5bOffer("s"), S5bOffer("s", candidates), is_initiator=True)


async def test_a_peer_that_offers_nothing_is_told_so_at_once() -> None:
    told = Told()
    assert told.said == [CandidateError("s")]
    told.stream.heard(CandidateError("s"))
    told.stream.heard(CandidateError("s"))
    assert told.failures == ["connectivity-error"]


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks5_attempts, "GIVE_UP_S", 0.01)
    told = Told()
    await eventually(lambda: told.failures)
    assert told.failures == ["connectivity-error"]


async def test_links_nobody_needs_are_closed() -> None:
    told = Told()
    closed: list[str] = []

    class Transport:
        def abort(self) -> None:
            closed.append("aborted")

    link = Link(Transport(), b"")  # type: ignore[arg-type]
    told.stream.came(link)
    told.stream.came(link)
    assert closed == ["aborted"]
    told.stream.close()
    told.stream.came(link)
    assert closed == ["aborted"] * 3
