"""Whether memory grows."""

import pytest

from bench.soak.trend import settled, slope


def test_a_slope_is_found_behind_the_beginning() -> None:
    times_s = [float(at) for at in range(31)]
    values = [min(at, 10.0) * 50 + 2 * at for at in times_s]
    assert slope(times_s, values) > 5
    assert slope(*settled(times_s, values)) == pytest.approx(2)
    assert slope([1.0], [5.0]) == 0
    assert settled([], []) == ([], [])
