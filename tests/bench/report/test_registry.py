"""Every benchmark that the registry names has a page module of the right shape."""

import pytest

from bench.report.registry import TITLES, UnknownBenchmark, page_of


@pytest.mark.parametrize("name", TITLES)
def test_each_benchmark_can_be_drawn(name: str) -> None:
    module = page_of({"benchmark": name})
    assert callable(module.sections)
    assert callable(module.figures)


def test_another_is_unknown() -> None:
    with pytest.raises(UnknownBenchmark, match="no benchmark 'tea'"):
        page_of({"benchmark": "tea"})
