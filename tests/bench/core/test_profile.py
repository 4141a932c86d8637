"""The way of a stanza: all come through, and every stage is charged, with reliability or not."""

import pytest

from bench.core import journey
from bench.core.figures import added_percent, forgetful, name_of, whole_difference_percent
from bench.core.profile import Kind, Profile, kinds, measure, message
from bench.core.readers import readers
from router.xmpp.reader import pure

STAGES = frozenset(journey.STAGES)
ZERO = dict.fromkeys(journey.STAGES, 0.0)


@pytest.mark.parametrize("size_bytes", [100, 383, 4096])
def test_a_message_has_its_size(size_bytes: int) -> None:
    assert len(message(size_bytes)) == size_bytes


def test_a_message_cannot_be_smaller_than_its_addresses() -> None:
    with pytest.raises(ValueError, match="at least"):
        message(60)


def test_every_journey_is_there_with_reliability_and_without() -> None:
    wanted = kinds(("pure",), (100, 383))
    assert [(kind.size_bytes, kind.apart) for kind in wanted if kind.is_reliable] == [
        (100, False),
        (383, False),
        (383, True),
    ]
    assert len(wanted) == 6


async def test_stanzas_go_all_the_way_and_every_stage_is_charged() -> None:
    """`measure` itself raises when one does not arrive, or its sender does not hear of it."""
    said: list[str] = []
    profiles = measure(
        readers(), sizes_bytes=(383, 20_000), rounds=1, load_bytes=100_000, say=said.append
    )
    assert len(profiles) == 6 * len(readers())
    assert len(said) == 1
    for profile in profiles:
        (sample,) = profile.samples
        idle = {stage for stage in STAGES if not sample[stage]}
        expected = set() if profile.kind.is_reliable else {journey.RETAIN, journey.REPORT}
        assert idle <= expected
        assert profile.totals_us() == [pytest.approx(sum(map(profile.stage_us, STAGES)))]


async def test_a_stanza_that_does_not_arrive_is_no_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journey.Journey, "_pass_on", lambda self: None)
    with pytest.raises(RuntimeError, match="0 of 100 stanzas left"):
        measure({"pure": pure.Reader}, sizes_bytes=(383,), rounds=1, load_bytes=1)


def test_what_reliability_adds_is_a_share_of_the_rest() -> None:
    busy = Kind(383, "pure", False, True)
    sample = ZERO | {journey.READ: 8.0, journey.RETAIN: 0.7, journey.REPORT: 0.5}
    empty = ZERO | {journey.READ: 9.0, journey.RETAIN: 0.1, journey.REPORT: 0.1}
    with_it = Profile(busy, 10, (sample,))
    without = Profile(Kind(383, "pure", False, False), 10, (empty,))
    other = Profile(Kind(100, "pure", False, False), 10, (ZERO,))
    assert forgetful(with_it, [other, with_it, without]) is without
    assert added_percent(with_it, without) == [pytest.approx(100 * 1.0 / 8.2)]
    assert whole_difference_percent(with_it, without) == pytest.approx(0)
    assert name_of(with_it) == "383 B"
    with pytest.raises(LookupError):
        forgetful(with_it, [with_it])
