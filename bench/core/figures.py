"""What the samples of `bench core` come to. Called by `tables` and `page`."""

from collections.abc import Sequence

from bench.core.journey import REPORT, RETAIN
from bench.core.profile import Profile


def name_of(profile: Profile) -> str:
    """As tables and plots call it, without the reader."""
    return f"{profile.kind.size_bytes:,} B" + (", alone" if profile.kind.apart else "")


def added_percent(profile: Profile, other: Profile) -> list[float]:
    """What keeping runs and reporting on them adds to all the rest, round by round.

    `other` is the same by fire and forget; what it spends in these stages, frames and looks at the
    watch, would be spent anyway.
    """
    added = []
    for with_it, without in zip(profile.samples, other.samples, strict=True):
        anyway = without[RETAIN] + without[REPORT]
        more = with_it[RETAIN] + with_it[REPORT]
        added.append(100 * (more - anyway) / (sum(with_it.values()) - more + anyway))
    return added


def forgetful(profile: Profile, profiles: Sequence[Profile]) -> Profile:
    """The same journey by fire and forget."""
    for other in profiles:
        kind = other.kind
        if not kind.is_reliable and (kind.size_bytes, kind.reader, kind.apart) == (
            profile.kind.size_bytes,
            profile.kind.reader,
            profile.kind.apart,
        ):
            return other
    raise LookupError(f"no journey without retention for {profile.kind}")


def whole_difference_percent(profile: Profile, other: Profile) -> float:
    """How much dearer the one journey was than the other, each in its least disturbed round."""
    return 100 * (min(profile.totals_us()) / min(other.totals_us()) - 1)
