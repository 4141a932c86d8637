"""Frozen dataclasses from and to plain values (TOML, JSON), guided by their annotations.

Knows no key and no rule of its own: a check stands in the annotation, as in
`Annotated[int, Between(1, 9)]`, and is a callable that returns the value it accepts or raises
ValueError. Called by `router.config` and `router.config_file`.
"""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NoReturn,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

Key = tuple[str, ...]
Refuse = Callable[[Key, str], None]

_OPTIONAL: Final = (UnionType, Union)  # `Annotated[…] | None` is of the second kind
_WORDS: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
    list: "a list",
    dict: "a table",
}


class _Unusable:
    """Stands for a value that was refused."""


_UNUSABLE: Final = _Unusable()


@dataclass(frozen=True, slots=True)
class Between:
    """A check: the number lies within the two bounds, both included."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        if not self.low <= value <= self.high:
            raise ValueError(f"must be from {self.low:_} to {self.high:_}, not {value:_}")
        return value


def encode(value: Any) -> Any:
    """Plain form of a value: dataclasses become dicts without the fields that are None."""
    if is_dataclass(value):
        items = ((each.name, getattr(value, each.name)) for each in fields(value))
        return {name: encode(item) for name, item in items if item is not None}
    if isinstance(value, Path) or hasattr(value, "parse"):
        return str(value)
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    return value


def decode(kind: Any, plain: Any, key: Key, refuse: Refuse) -> Any:
    """The value of type `kind` that `plain` stands for.

    Every fault goes to `refuse` with the key where it lies; a refused value is replaced by its
    default, so that the rest is read all the same. The result counts only if nothing was refused.
    """
    value = _decode(kind, plain, key, refuse)
    return None if value is _UNUSABLE else value


def written(key: Key) -> str:
    """The key as TOML writes it, with quotes where it needs them."""
    return ".".join(
        part if part.replace("_", "").replace("-", "").isalnum() else f'"{part}"' for part in key
    )


def bare(kind: Any) -> Any:
    """The annotation without its checks and without `| None`."""
    if get_origin(kind) is Annotated:
        return bare(get_args(kind)[0])
    if get_origin(kind) in _OPTIONAL:
        return bare(next(each for each in get_args(kind) if each is not NoneType))
    return kind


def is_written_as_text(kind: Any) -> bool:
    """Whether the plain form of the type is a string."""
    plain = bare(kind)
    return plain in (str, Path) or get_origin(plain) is Literal or hasattr(plain, "parse")


def field_types(table: Any) -> dict[str, Any]:
    """Field name to annotation, checks included."""
    return get_type_hints(table, include_extras=True)


def _decode(kind: Any, plain: Any, key: Key, refuse: Refuse) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _checked(arguments[0], arguments[1:], plain, key, refuse)
    if origin in _OPTIONAL:
        return _decode(next(each for each in arguments if each is not NoneType), plain, key, refuse)
    try:
        if is_dataclass(kind):
            return _table(kind, _of(dict, plain), key, refuse)
        if origin is tuple:
            return _list(arguments[0], _of(list, plain), key, refuse)
        if origin is Mapping:
            return _mapping(arguments, _of(dict, plain), key, refuse)
        if origin is Literal:
            return _choice(arguments, plain)
        if kind is Path:
            return Path(_text(plain))
        if hasattr(kind, "parse"):
            return kind.parse(_text(plain))
        if issubclass(kind, tuple):
            return _named_tuple(kind, _of(list, plain))
        return _of(kind, plain)
    except ValueError as error:
        refuse(key, str(error))
        return _UNUSABLE


def _checked(kind: Any, checks: tuple[Any, ...], plain: Any, key: Key, refuse: Refuse) -> Any:
    value = _decode(kind, plain, key, refuse)
    for check in checks:
        if value is _UNUSABLE:
            break
        try:
            value = check(value)
        except ValueError as error:
            refuse(key, str(error))
            value = _UNUSABLE
    return value


def _of(kind: Any, plain: Any) -> Any:
    if kind is float and type(plain) is int:
        plain = float(plain)
    if type(plain) is not kind:
        _refuse_type(kind, plain)
    if kind is float and not math.isfinite(plain):
        raise ValueError("must be a finite number")
    return plain


def _text(plain: Any) -> str:
    text = _of(str, plain)
    assert isinstance(text, str)
    if not text or "\0" in text:
        raise ValueError("must be a text, and not empty")
    return text


def _refuse_type(kind: Any, plain: Any) -> NoReturn:
    found = _WORDS.get(type(plain), "something else")
    raise ValueError(f"must be {_WORDS[kind]}, not {found}")


def _choice(choices: tuple[Any, ...], plain: Any) -> Any:
    if plain not in choices:
        raise ValueError("must be " + " or ".join(f'"{each}"' for each in choices))
    return plain


def _named_tuple(kind: Any, plain: list[Any]) -> Any:
    if len(plain) != len(kind._fields) or not all(isinstance(each, str) for each in plain):
        raise ValueError(f"must be a list of {len(kind._fields)} texts: {', '.join(kind._fields)}")
    return kind(*plain)


def _list(kind: Any, plain: list[Any], key: Key, refuse: Refuse) -> Any:
    values = [_decode(kind, each, (*key, str(index)), refuse) for index, each in enumerate(plain)]
    return tuple(value for value in values if value is not _UNUSABLE)


def _mapping(kinds: tuple[Any, ...], plain: dict[str, Any], key: Key, refuse: Refuse) -> Any:
    names, kind = kinds
    result: dict[str, Any] = {}
    for written, each in plain.items():
        name = _decode(names, written, (*key, written), refuse)
        value = _decode(kind, each, (*key, written), refuse)
        if name in result:
            refuse((*key, written), f'is the same name as "{name}", which is there already')
        elif name is not _UNUSABLE and value is not _UNUSABLE:
            result[name] = value
    return result


def _table(kind: Any, plain: dict[str, Any], key: Key, refuse: Refuse) -> Any:
    types = field_types(kind)
    for name in sorted(plain.keys() - types.keys()):
        near = difflib.get_close_matches(name, types, 1)
        refuse((*key, name), "unknown key" + (f'; did you mean "{near[0]}"?' if near else ""))
    values: dict[str, Any] = {}
    complete = True
    for each in fields(kind):
        value = _UNUSABLE
        if each.name in plain:
            value = _decode(types[each.name], plain[each.name], (*key, each.name), refuse)
        elif _is_needed(each):
            refuse((*key, each.name), "is missing")
        if value is not _UNUSABLE:
            values[each.name] = value
        elif _is_needed(each):
            complete = False
    return kind(**values) if complete else _UNUSABLE


def _is_needed(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING
