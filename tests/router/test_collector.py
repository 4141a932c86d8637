"""The collector's settings."""

import gc
from collections.abc import Iterator

import pytest

from router import collector


@pytest.fixture
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.usefixtures("as_before")
def test_what_is_there_is_left_alone_and_the_rest_looked_at_seldom() -> None:
    collector.settle()
    assert gc.get_freeze_count() > 1000
    assert gc.get_threshold()[0] >= 20_000
