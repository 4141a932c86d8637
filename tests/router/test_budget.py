"""The sum of all bounds: what raises it, and when it is too much."""

from dataclasses import replace

import pytest

from router.budget import MIB, budget_bytes, pools, too_much, words
from router.config import Config, Dns, Limits, Processes

PLAIN = Config(processes=Processes(acceptors=2, workers=1))


def test_the_sum_is_that_of_its_parts_and_is_no_absurd_figure() -> None:
    assert budget_bytes(PLAIN) == sum(pool.octets for pool in pools(PLAIN))
    assert 500 * MIB < budget_bytes(PLAIN) < 2500 * MIB


@pytest.mark.parametrize(
    ("pool", "changed"),
    [
        ("programs", replace(PLAIN, processes=Processes(acceptors=3, workers=1))),
        ("programs", replace(PLAIN, processes=Processes(acceptors=2, workers=2))),
        ("streams", replace(PLAIN, limits=Limits(connections=10_000))),
        ("negotiation", replace(PLAIN, limits=Limits(max_preauth_bytes=32_768))),
        ("stanzas", replace(PLAIN, limits=Limits(retention_bytes=100 * MIB))),
        ("stanzas", replace(PLAIN, limits=Limits(max_stanza_bytes=MIB))),
        ("output", replace(PLAIN, limits=Limits(output_total_bytes=100 * MIB))),
        ("DNS", replace(PLAIN, dns=Dns(cache_names=10_000))),
    ],
)
def test_each_bound_raises_its_pool(pool: str, changed: Config) -> None:
    def octets(config: Config) -> int:
        return next(each.octets for each in pools(config) if each.name == pool)

    assert octets(changed) > octets(PLAIN)
    assert budget_bytes(changed) > budget_bytes(PLAIN)


def test_every_limit_named_is_a_key_of_the_configuration() -> None:
    plain = PLAIN.to_plain()
    for key in (key for pool in pools(PLAIN) for key in pool.limits):
        table, name = key.split(".")
        assert name in plain[table]


def test_four_fifths_of_the_limit_are_ours() -> None:
    needed = budget_bytes(PLAIN)
    assert too_much(PLAIN, needed * 10 // 8 + 10) == ""
    refusal = too_much(PLAIN, needed * 10 // 8 - 10)
    assert words(PLAIN) in refusal
    assert "limits.connections" in refusal
    assert "limits.retention_bytes" in refusal
