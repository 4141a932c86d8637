"""What differs between the three kinds of connection, and the numbers they go by."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bench.authority import Authority
from router.acceptor.dialling.attempts import Approach
from router.acceptor.dialling.dns import Target
from router.acceptor.openings import Openings, new_stream_id
from router.config import Address, Config, Dialback, Domain, E2e, Inside, Tls
from router.xmpp.component import ComponentStream
from router.xmpp.e2e import InitiatorStream
from router.xmpp.e2e_ends import Ends
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
    return Openings(Hub(), asyncio.get_running_loop(), config_in(tmp_path))


def config_in(directory: Path) -> Config:
    return Config(
        tls=Tls(certificates=directory),
        dialback=Dialback(secret="s3cr3t"),
        inside=Inside(secret="another"),
        domains={name: Domain("component", "wherefore") for name in (MONTAGUE, VERONA)},
    )


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


async def test_a_server_behind_us_calls_and_is_called(openings: Openings, tmp_path: Path) -> None:
    """On a leg of its own, by rules and with a dialback secret of its own."""
    servers = {VERONA: Domain("server", target=Address("10.0.0.7", 5269))}
    openings.reload(replace(config_in(tmp_path), domains=servers))
    calls = openings.inbound(direct_tls=False, leg="server")
    pair = DomainPair(CAPULET, VERONA)
    called = openings.outbound(pair, Target("10.0.0.7", 5269, "starttls"), Approach())
    for connection in (calls, called):
        assert connection.leg == "server"
        assert connection.core.policy is openings.policy_of("server")
    stranger = openings.outbound(pair.inverse(), Target("x.example", 1, "starttls"), Approach())
    assert stranger.core.policy is openings.policy_of("s2s")
    assert openings.policy_of("s2s").secret != openings.policy_of("server").secret


async def test_an_inner_stream_goes_by_rules_of_its_own(openings: Openings, tmp_path: Path) -> None:
    openings.reload(replace(config_in(tmp_path), e2e=E2e("relay.example", tls_required=False)))
    ends = Ends("relay.example", CAPULET)
    core = InitiatorStream(openings.policy_of("e2e"), lambda: "id", ends, 0.0)
    inner = openings.inner(openings._hub, core, "out", "relay.example", CAPULET)
    assert (inner.direction, inner.leg) == ("out", "e2e")
    assert openings.open[inner.number] is inner
    assert not core.policy.tls_required
    assert openings.policy_of("s2s").tls_required
