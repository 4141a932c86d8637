"""Readers accept their own type and nothing that merely looks like it."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import pytest

from router.wire.fields import hints, reader, unpack


class Pair(NamedTuple):
    a: str
    b: str


@dataclass(frozen=True)
class Point:
    KIND: ClassVar[int] = 1
    x: int
    name: str | None


@pytest.mark.parametrize(
    ("hint", "value", "read"),
    [
        (int, 5, 5),
        (float, 5, 5),
        (float, 1.5, 1.5),
        (str | None, None, None),
        (str | None, "a", "a"),
        (tuple[int, ...], (), ()),
        (tuple[int, ...], (1, 2), (1, 2)),
        (tuple[str, int], ("a", 1), ("a", 1)),
        (Pair, ("a", "b"), Pair("a", "b")),
        (Point, (1, None), Point(1, None)),
        (Point | None, (1, "p"), Point(1, "p")),
        (dict[str, object], {"a": (1, "b", None, True)}, {"a": (1, "b", None, True)}),
    ],
)
def test_reading(hint: Any, value: Any, read: Any) -> None:
    assert reader(hint)(value) == read


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, True),
        (int, 1.0),
        (float, True),
        (float, "1"),
        (bool, 1),
        (str, b"a"),
        (str, None),
        (tuple[int, ...], "ab"),
        (tuple[int, ...], (1, "a")),
        (tuple[str, int], ("a",)),
        (tuple[str, int], ("a", 1, 2)),
        (Pair, "ab"),
        (Pair, ("a", "b", "c")),
        (Point, (1,)),
        (Point, {"x": 1}),
        (dict[str, object], (("a", 1),)),
        (dict[str, object], {1: 1}),
        (dict[str, object], {"a": b"octets"}),
        (object, {"a": 1}),
    ],
)
def test_refusing(hint: Any, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        reader(hint)(value)


def test_hints_leave_class_variables_out() -> None:
    assert list(hints(Point)) == ["x", "name"]


@pytest.mark.parametrize("octets", [b"\x01", b"\xc0", b"\x80", b""])
def test_only_arrays_are_unpacked(octets: bytes) -> None:
    with pytest.raises((TypeError, ValueError)):
        unpack(octets)
