"""Where a domain is: its route before DNS, and no address of the inside that DNS names."""

import pytest

from router.acceptor.dialling.addresses import Listening
from router.acceptor.dialling.dns import Target, Unresolvable
from router.acceptor.dialling.places import Places
from router.config import Address, Config, Dial, Domain, Peer
from tests.support.dialling import Resolver
from tests.support.nodes import CAPULET

INSIDE, OUTSIDE = "10.0.0.7", "9.9.9.9"
TARGET = Target("xmpp.capulet.example", 5269, "starttls")
STATIC = Target(INSIDE, 6001, "direct")


def places(config: Config, *addresses: str) -> Places:
    resolver = Resolver({CAPULET: (TARGET,)}, {TARGET.host: addresses, INSIDE: (INSIDE,)})
    return Places(config, resolver)  # type: ignore[arg-type]


ROUTED = Config(peers={CAPULET: Peer(target=Address(INSIDE, 6001), target_tls="direct")})


@pytest.mark.clause("DNS-06")
async def test_a_static_route_replaces_dns() -> None:
    assert await places(ROUTED).targets(CAPULET) == (STATIC,)
    assert await places(Config()).targets(CAPULET) == (TARGET,)


async def test_addresses_of_the_inside_are_left_out_unless_routed_or_allowed() -> None:
    assert await places(Config(), INSIDE, OUTSIDE).addresses(CAPULET, TARGET) == [OUTSIDE]
    assert await places(ROUTED).addresses(CAPULET, STATIC) == [INSIDE]
    open_config = Config(dial=Dial(allow_private_addresses=True))
    both = await places(open_config, INSIDE, OUTSIDE).addresses(CAPULET, TARGET)
    assert both == [INSIDE, OUTSIDE]


async def test_nobody_s_dns_leads_us_to_ourselves() -> None:
    """Reliability D4: a stanza would visit this router twice."""
    listening = Listening()
    listening.add("::", 5269)
    listening.add(OUTSIDE, 443)
    ours = Target("x.example", 443, "direct")
    resolver = Resolver({}, {TARGET.host: (OUTSIDE, "127.0.0.5"), "x.example": (OUTSIDE, INSIDE)})
    config = Config(dial=Dial(allow_private_addresses=True))
    found = Places(config, resolver, listening)  # type: ignore[arg-type]
    assert await found.addresses(CAPULET, TARGET) == [OUTSIDE]
    assert await found.addresses(CAPULET, ours) == [INSIDE]


async def test_the_places_of_the_best_target() -> None:
    found = await places(Config(), INSIDE, OUTSIDE).of(CAPULET, (TARGET, STATIC))
    assert found == {(OUTSIDE, 5269)}


async def test_no_place_for_a_host_without_addresses() -> None:
    unknown = Target("nowhere.example", 5269, "starttls")
    assert await places(Config()).of(CAPULET, (unknown,)) == frozenset()
    with pytest.raises(Unresolvable):
        await places(Config()).addresses(CAPULET, unknown)


async def test_nobody_s_dns_leads_us_to_a_server_behind_us() -> None:
    """It would be reached around the router's policy, and as a stranger."""
    behind = Domain("server", target=Address(OUTSIDE, 5269))
    config = Config(domains={"verona.example": behind})
    assert await places(config, OUTSIDE, "9.9.9.10").addresses(CAPULET, TARGET) == ["9.9.9.10"]
    resolver = Resolver({}, {OUTSIDE: (OUTSIDE,)})
    found = Places(config, resolver)  # type: ignore[arg-type]
    (target,) = await found.targets("verona.example")
    assert await found.addresses("verona.example", target) == [OUTSIDE]
