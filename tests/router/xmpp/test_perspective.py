"""Who may be at which end: outside, inside, and what a name stands for that begins with "*."."""

import pytest

from router.xmpp.pair import DomainPair
from router.xmpp.perspective import Domains, inside, outside

MONTAGUE, VERONA, PADUA, CAPULET = (
    "montague.example",
    "verona.example",
    "padua.example",
    "capulet.example",
)
SERVERS = Domains(frozenset({VERONA, PADUA}))
HOSTED = Domains(frozenset({MONTAGUE, VERONA, PADUA}))


@pytest.mark.parametrize(
    ("domain", "is_there"),
    [
        (VERONA, False),
        ("conference.verona.example", True),
        ("a.b.verona.example", True),
        ("bot.verona.example", False),
        ("below.bot.verona.example", True),
        ("notverona.example", False),
        ("example", False),
        ("", False),
    ],
)
def test_all_below_a_parent_but_for_others(domain: str, is_there: bool) -> None:
    below = Domains(parents=frozenset({VERONA}), others=frozenset({"bot.verona.example"}))
    assert (domain in below) is is_there


def test_a_name_is_there_by_itself() -> None:
    assert VERONA in SERVERS
    assert "conference.verona.example" not in SERVERS
    assert VERONA not in Domains()


@pytest.mark.parametrize(
    ("sender", "target", "may"),
    [
        (CAPULET, VERONA, True),
        (CAPULET, MONTAGUE, True),
        (VERONA, MONTAGUE, False),  # it would be one of ours
        (CAPULET, "tybalt.example", False),  # for whom we do not speak
    ],
)
def test_outside_a_peer_is_whom_we_do_not_host(sender: str, target: str, may: bool) -> None:
    assert outside(HOSTED).admits(DomainPair(sender, target)) is may


@pytest.mark.parametrize(
    ("sender", "target", "may"),
    [
        (VERONA, CAPULET, True),
        (VERONA, MONTAGUE, True),
        (VERONA, PADUA, True),
        (VERONA, VERONA, False),
        (CAPULET, VERONA, False),
        (MONTAGUE, VERONA, False),  # a component speaks on a leg of its own
    ],
)
def test_inside_a_peer_is_a_server_behind_us_and_we_are_everybody_else(
    sender: str, target: str, may: bool
) -> None:
    assert inside(SERVERS).admits(DomainPair(sender, target)) is may
