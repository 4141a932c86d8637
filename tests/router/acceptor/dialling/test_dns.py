"""Resolution against a real name server on loopback: order, fallback, failure, cache."""

import asyncio
from collections import Counter
from random import Random

import pytest

from bench.peers.nameserver import Nameserver, Zone
from router.acceptor.dialling.dns import Resolver, Target, Unresolvable, in_order
from router.config import Address, Dns

CAPULET = "capulet.example"
STARTTLS = f"_xmpp-server._tcp.{CAPULET}"
DIRECT = f"_xmpps-server._tcp.{CAPULET}"


class Clock:
    """Monotonic seconds that move only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def resolver(server: Nameserver, clock: Clock | None = None, **settings: object) -> Resolver:
    config = Dns(resolvers=(Address("127.0.0.1", server.port),), **settings)  # type: ignore[arg-type]
    return Resolver(config, clock or Clock(), Random(1))


async def places(zone: Zone, **settings: object) -> list[tuple[str, int, str]]:
    with Nameserver(zone) as server:
        targets = await resolver(server, **settings).targets(CAPULET)
    return [(each.host, each.port, each.tls) for each in targets]


async def failure(server: Nameserver, **settings: object) -> str:
    with pytest.raises(Unresolvable) as refused:
        await resolver(server, **settings).targets(CAPULET)
    assert str(refused.value)
    return refused.value.condition


@pytest.mark.clause("DNS-01")
async def test_both_services_make_one_list_by_priority() -> None:
    zone = {
        STARTTLS: {"SRV": ["10 1 5269 b.example.", "30 1 5269 d.example."]},
        DIRECT: {"SRV": ["0 1 5270 A.example.", "20 1 443 c.example."]},
    }
    assert await places(zone) == [
        ("a.example", 5270, "direct"),
        ("b.example", 5269, "starttls"),
        ("c.example", 443, "direct"),
        ("d.example", 5269, "starttls"),
    ]


@pytest.mark.clause("DNS-02")
async def test_a_dot_refuses_its_own_service_only() -> None:
    usable = {"SRV": ["0 1 5269 a.example."]}
    dot = {"SRV": ["0 0 0 ."]}
    assert await places({STARTTLS: usable, DIRECT: dot}) == [("a.example", 5269, "starttls")]
    assert await places({STARTTLS: dot, DIRECT: usable}) == [("a.example", 5269, "direct")]


@pytest.mark.clause("DNS-02", "DNS-03")
@pytest.mark.parametrize("services", [(STARTTLS, DIRECT), (STARTTLS,), (DIRECT,)])
async def test_nothing_but_dots_is_unreachable_without_fallback(services: tuple[str, ...]) -> None:
    zone = {CAPULET: {"A": ["192.0.2.1"]}} | {each: {"SRV": ["0 0 0 ."]} for each in services}
    with Nameserver(zone) as server:
        assert await failure(server) == "remote-server-not-found"
        assert (CAPULET, "A") not in server.asked


@pytest.mark.clause("DNS-03")
@pytest.mark.parametrize("zone", [{}, {STARTTLS: {}, DIRECT: {}}], ids=["NXDOMAIN", "NODATA"])
async def test_without_srv_records_the_domain_itself_is_tried(zone: Zone) -> None:
    reached = {**zone, CAPULET: {"AAAA": ["2001:db8::1"]}}
    assert await places(reached) == [(CAPULET, 5269, "starttls")]


@pytest.mark.clause("DNS-03")
async def test_silence_about_srv_leaves_time_for_the_domain_itself() -> None:
    zone = {CAPULET: {"A": ["192.0.2.1"]}}
    with Nameserver(zone, silent=[STARTTLS, DIRECT]) as server:
        targets = await resolver(server, timeout_s=2.0).targets(CAPULET)
    assert targets == (Target(CAPULET, 5269, "starttls"),)


@pytest.mark.clause("DNS-03")
async def test_a_broken_zone_gets_no_fallback() -> None:
    with Nameserver({CAPULET: {"A": ["192.0.2.1"]}}, failing=[STARTTLS]) as server:
        assert await failure(server) == "remote-server-timeout"


async def test_one_service_is_enough_when_the_other_does_not_answer() -> None:
    zone = {STARTTLS: {"SRV": ["0 1 5269 a.example."]}}
    with Nameserver(zone, silent=[DIRECT]) as server:
        targets = await resolver(server, timeout_s=2.0).targets(CAPULET)
    assert [each.host for each in targets] == ["a.example"]


@pytest.mark.clause("DNS-03")
async def test_a_domain_that_does_not_exist() -> None:
    with Nameserver({}) as server:
        assert await failure(server) == "remote-server-not-found"


async def test_a_resolver_that_does_not_answer_is_not_waited_for_longer_than_told() -> None:
    started = asyncio.get_running_loop().time()
    with Nameserver({}, silent=[STARTTLS, DIRECT, CAPULET]) as server:
        assert await failure(server, timeout_s=0.8) == "remote-server-timeout"
    assert asyncio.get_running_loop().time() - started < 1.4


@pytest.mark.clause("DNS-05")
def test_weights_share_the_first_place() -> None:
    targets = [
        Target("light", 5269, "starttls", 0, 10),
        Target("heavy", 5269, "starttls", 0, 30),
        Target("none", 5269, "starttls", 0, 0),
        Target("later", 5269, "starttls", 1, 1000),
    ]
    random = Random(7)
    drawn = [[each.host for each in in_order(targets, random)] for _ in range(4000)]
    first = Counter(order[0] for order in drawn)
    assert all(sorted(order[:3]) == ["heavy", "light", "none"] for order in drawn)
    assert all(order[3] == "later" for order in drawn)
    assert 2.5 < first["heavy"] / first["light"] < 3.5
    assert 0 < first["none"] < 250


@pytest.mark.clause("DNS-05")
def test_the_lowest_draw_is_for_weight_zero() -> None:
    class Lowest(Random):
        def randint(self, a: int, b: int) -> int:
            return a

    targets = [Target(f"h{weight}", 5269, "starttls", 0, weight) for weight in (5, 0, 9)]
    for seed in range(20):
        assert in_order(targets, Lowest(seed))[0].host == "h0"


@pytest.mark.clause("DNS-05")
def test_records_without_weight_take_the_first_place_in_turn() -> None:
    targets = [Target(host, 5269, "starttls") for host in "abc"]
    random = Random(7)
    first = Counter(in_order(targets, random)[0].host for _ in range(900))
    assert first.keys() == set("abc")
    assert min(first.values()) > 200


@pytest.mark.clause("DNS-06")
@pytest.mark.parametrize(
    ("domain", "host"), [("192.0.2.7", "192.0.2.7"), ("[2001:db8::7]", "2001:db8::7")]
)
async def test_an_ip_literal_is_not_looked_up(domain: str, host: str) -> None:
    with Nameserver({}) as server:
        lookup = resolver(server)
        assert await lookup.targets(domain) == (Target(host, 5269, "starttls"),)
        assert await lookup.addresses(host) == (host,)
        assert server.asked == []


async def test_an_international_domain_is_asked_for_in_a_labels() -> None:
    with Nameserver({"_xmpp-server._tcp.xn--fa-hia.example": {"SRV": ["0 0 5269 a."]}}) as server:
        targets = await resolver(server).targets("faß.example")
    assert [each.host for each in targets] == ["a"]


async def test_ipv6_comes_first_and_an_alias_is_followed() -> None:
    zone = {
        "a.example": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1", "2001:db8::2"]},
        "b.example": {"CNAME": ["a.example."]},
    }
    with Nameserver(zone) as server:
        found = await resolver(server).addresses("A.example")
    assert found[2] == "192.0.2.1"
    assert sorted(found[:2]) == ["2001:db8::1", "2001:db8::2"]


async def test_a_host_without_address() -> None:
    with Nameserver({"a.example": {}}) as server, pytest.raises(Unresolvable) as refused:
        await resolver(server).addresses("a.example")
    assert refused.value.condition == "remote-server-not-found"


async def test_a_name_that_dns_cannot_hold_is_not_found() -> None:
    with Nameserver({}) as server, pytest.raises(Unresolvable) as refused:
        await resolver(server).targets(".".join(["a" * 60] * 4))
    assert refused.value.condition == "remote-server-not-found"


async def test_records_and_addresses_are_capped() -> None:
    zone = {
        STARTTLS: {"SRV": [f"{n} 0 5269 h{n}.example." for n in range(9)]},
        "a.example": {
            "A": [f"192.0.2.{n}" for n in range(9)],
            "AAAA": [f"2001:db8::{n}" for n in range(9)],
        },
    }
    with Nameserver(zone) as server:
        lookup = resolver(server, max_srv_records=3, max_addresses=4)
        targets = await lookup.targets(CAPULET)
        found = await lookup.addresses("a.example")
    assert [each.priority for each in targets] == [0, 1, 2]
    assert [":" in each for each in found] == [True, True, False, False]


async def test_strangers_may_not_point_at_privileged_ports() -> None:
    zone = {STARTTLS: {"SRV": ["0 0 25 a.example.", "1 0 443 a.example."]}}
    assert await places(zone) == [("a.example", 443, "starttls")]
    with Nameserver({STARTTLS: {"SRV": ["0 0 25 a.example."]}}) as server:
        assert await failure(server) == "remote-server-not-found"


@pytest.mark.clause("DNS-07")
async def test_an_answer_is_kept_for_its_time_to_live() -> None:
    clock = Clock()
    with Nameserver({STARTTLS: {"SRV": ["0 0 5269 a."]}}, ttl_s=100) as server:
        lookup = resolver(server, clock)
        await lookup.targets(CAPULET)
        clock.now += 99
        await lookup.targets(CAPULET)
        assert len(server.asked) == 2
        clock.now += 2
        await lookup.targets(CAPULET)
        assert len(server.asked) == 4


@pytest.mark.clause("DNS-07")
async def test_a_failure_is_kept_for_a_minute_at_most() -> None:
    clock = Clock()
    with Nameserver({}, ttl_s=3000) as server:
        lookup = resolver(server, clock)
        for wait_s, questions in ((0, 4), (59, 4), (2, 8)):
            clock.now += wait_s
            with pytest.raises(Unresolvable):
                await lookup.targets(CAPULET)
            assert len(server.asked) == questions


async def test_silence_is_forgotten_soon() -> None:
    clock = Clock()
    with Nameserver({"a.example": {"A": ["192.0.2.1"]}}, silent=["a.example"]) as server:
        lookup = resolver(server, clock, timeout_s=1.0)
        with pytest.raises(Unresolvable):
            await lookup.addresses("a.example")
        server.silent.clear()
        clock.now += 6
        assert await lookup.addresses("a.example") == ("192.0.2.1",)


async def test_the_cache_is_bounded() -> None:
    with Nameserver({f"{n}.example": {"A": ["192.0.2.1"]} for n in range(3)}) as server:
        lookup = resolver(server, cache_names=2)
        for n in (0, 1, 2, 2, 1, 0):
            await lookup.addresses(f"{n}.example")
    assert [name for name, kind in server.asked if kind == "A"] == [
        f"{n}.example" for n in (0, 1, 2, 0)
    ]


async def test_many_who_ask_at_once_cause_one_look_up() -> None:
    with Nameserver({STARTTLS: {"SRV": ["0 0 5269 a."]}}) as server:
        lookup = resolver(server)
        await asyncio.gather(*(lookup.targets(CAPULET) for _ in range(20)))
        assert len(server.asked) == 2


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    with Nameserver({"a.example": {"A": ["192.0.2.1"]}}) as server:
        lookup = resolver(server)
        first = asyncio.create_task(lookup.addresses("a.example"))
        second = asyncio.create_task(lookup.addresses("a.example"))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == ("192.0.2.1",)
        assert len(server.asked) == 2


async def test_all_records_of_both_services_for_people() -> None:
    """What `targets` leaves out is told, too, and so is how a look-up failed."""
    zone = {
        STARTTLS: {"SRV": ["20 1 5269 b.example.", "10 1 22 a.example.", "10 9 5269 c.example."]}
    }
    with Nameserver(zone, failing=[DIRECT]) as server:
        starttls, direct = await resolver(server).services(CAPULET)
        assert await resolver(server).services("192.0.2.1") == ()
    assert [each.host for each in starttls.targets] == ["c.example", "b.example"]
    assert starttls.unusable == (Target("a.example", 22, "starttls", 10, 1),)
    assert (starttls.failed, direct.name, direct.failed) == ("", "_xmpps-server._tcp", "error")
    with Nameserver({DIRECT: {"SRV": ["0 0 0 ."]}}) as server:
        starttls, direct = await resolver(server).services(CAPULET)
    assert (starttls.targets, starttls.unusable, starttls.failed) == ((), (), "")
    assert [each.host for each in direct.unusable] == ["."]
