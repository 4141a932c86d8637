"""Values from plain ones: each kind of annotation, each kind of fault, all faults at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest

from router.config_plain import Between, decode, encode


class Two(NamedTuple):
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Inner:
    needed: int
    ratio: float = 0.5


@dataclass(frozen=True, slots=True)
class Outer:
    count: Annotated[int, Between(1, 9)] = 1
    on: bool = False
    word: Literal["a", "b"] = "a"
    path: Path | None = None
    numbers: tuple[int, ...] = ()
    twos: tuple[Two, ...] = ()
    inner: Mapping[str, Inner] | None = None


def faults(plain: Any, kind: Any = Outer) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    decode(kind, plain, (), lambda key, message: found.append((".".join(key), message)))
    return found


def test_a_value_survives_its_plain_form() -> None:
    value = Outer(9, True, "b", Path("/x"), (1, 2), (Two("l", "r"),), {"k": Inner(1, 2.0)})
    plain = encode(value)
    assert plain == {
        "count": 9,
        "on": True,
        "word": "b",
        "path": "/x",
        "numbers": [1, 2],
        "twos": [["l", "r"]],
        "inner": {"k": {"needed": 1, "ratio": 2.0}},
    }
    assert decode(Outer, plain, (), pytest.fail) == value


def test_what_is_left_out_has_its_default() -> None:
    assert decode(Outer, {}, (), pytest.fail) == Outer()
    assert "path" not in encode(Outer())


@pytest.mark.parametrize(
    ("plain", "key", "message"),
    [
        ({"count": 10}, "count", "must be from 1 to 9, not 10"),
        ({"count": True}, "count", "must be a whole number, not true or false"),
        ({"count": "1"}, "count", "must be a whole number, not a text in quotes"),
        ({"on": 1}, "on", "must be true or false, not a whole number"),
        ({"word": "c"}, "word", 'must be "a" or "b"'),
        ({"word": ["a"]}, "word", 'must be "a" or "b"'),
        ({"path": ""}, "path", "must be a text, and not empty"),
        ({"numbers": 1}, "numbers", "must be a list, not a whole number"),
        ({"numbers": [1, "2"]}, "numbers.1", "must be a whole number, not a text in quotes"),
        ({"twos": [["l"]]}, "twos.0", "must be a list of 2 texts: left, right"),
        ({"inner": {"k": {}}}, "inner.k.needed", "is missing"),
        ({"inner": {"k": 1}}, "inner.k", "must be a table, not a whole number"),
        ({"inner": {"k": {"needed": 1, "ratio": float("nan")}}}, "inner.k.ratio", "finite"),
        ({"cout": 1}, "cout", 'unknown key; did you mean "count"?'),
        ({"zzz": 1}, "zzz", "unknown key"),
    ],
)
def test_a_fault_is_named_where_it_lies(plain: Any, key: str, message: str) -> None:
    ((found, text),) = faults(plain)
    assert found == key
    assert message in text


def test_all_faults_are_found_at_once() -> None:
    plain = {"count": 0, "on": "no", "inner": {"k": {"ratio": "x"}}, "numbers": ["1", 2, "3"]}
    assert [key for key, _ in faults(plain)] == [
        "count",
        "on",
        "numbers.0",
        "numbers.2",
        "inner.k.needed",
        "inner.k.ratio",
    ]


def test_a_whole_number_is_a_number() -> None:
    value = decode(Inner, {"needed": 1, "ratio": 2}, (), pytest.fail)
    assert type(value.ratio) is float


def test_names_that_become_the_same_are_refused() -> None:
    kind = Mapping[Annotated[str, str.lower], Inner]
    ((key, message),) = faults({"a": {"needed": 1}, "A": {"needed": 1}}, kind)
    assert (key, message) == ("A", 'is the same name as "a", which is there already')
