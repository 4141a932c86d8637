"""What differs between the three kinds of connection, and the numbers they go by."""

import asyncio
from pathlib import Path

import pytest

from bench.authority import Authority
from router.acceptor.dialling.attempts import Approach
from router.acceptor.dialling.dns import Target
from router.acceptor.openings import Openings, new_stream_id
from router.config import Config, Dialback, Domain, Tls
from router.xmpp.component import ComponentStream
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.receiving import ReceivingStream
from router.xmpp.states import Phase
from tests.support.acceptors import Hub
from tests.support.layers import CAPULET, MONTAGUE
from tests.support.nodes import VERONA

PAIR = DomainPair(MONTAGUE, CAPULET)


@pytest.fixture
async def openings(authority: Authority, tmp_path: Path) -> Openings:
    authority.issue(MONTAGUE, into=tmp_path)
    authority.issue(VERONA, into=tmp_path)
    config = Config(
        tls=Tls(certificates=tmp_path),
        dialback=Dialback(secret="s3cr3t"),
        domains={name: Domain("component", "wherefore") for name in (MONTAGUE, VERONA)},
    )
    return Openings(Hub(), asyncio.get_running_loop(), config)


@pytest.mark.clause("STR-06")
def test_stream_ids_have_128_random_bits() -> None:
    drawn = {new_stream_id() for _ in range(1000)}
    assert len(drawn) == 1000
    assert {len(bytes.fromhex(each)) for each in drawn} == {16}


async def test_each_connection_is_kept_under_a_number_of_its_own(openings: Openings) -> None:
    made = [
        openings.inbound(direct_tls=False),
        openings.component(),
        openings.inbound(direct_tls=True),
    ]
    assert openings.open == {each.number: each for each in made}
    assert len(openings.open) == 3


async def test_a_peer_that_calls(openings: Openings) -> None:
    plain, direct = openings.inbound(direct_tls=False), openings.inbound(direct_tls=True)
    assert isinstance(plain.core, ReceivingStream)
    assert (plain.direction, plain.leg) == ("in", "s2s")
    assert plain.core.phase is Phase.PLAIN_HEADER
    assert direct.core.phase is Phase.DIRECT_TLS


async def test_a_component(openings: Openings) -> None:
    component = openings.component()
    assert isinstance(component.core, ComponentStream)
    assert (component.direction, component.leg) == ("in", "component")


async def test_a_server_that_we_call(openings: Openings) -> None:
    called = openings.outbound(PAIR, Target("x.example", 5269, "starttls"), Approach())
    assert isinstance(called.core, InitiatingStream)
    assert (called.direction, called.leg) == ("out", "s2s")
    assert (called.core.local, called.core.remote) == PAIR
    direct = openings.outbound(PAIR, Target("x.example", 5270, "direct"), Approach())
    assert direct.core.phase is Phase.DIRECT_TLS
