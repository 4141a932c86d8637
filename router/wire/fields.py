"""Strict readers of msgpack values by type annotation; frames and control messages share them.

A dataclass or named tuple is the array of its fields. A reader takes what msgpack unpacked (arrays
as tuples) and raises TypeError or ValueError for anything that is not of its type.
"""

import dataclasses
import itertools
import types
import typing
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import msgpack

Reader = Callable[[Any], Any]

_SIMPLE: Final = (int, str, bool, bytes)


def unpack(octets: bytes) -> tuple[Any, ...]:
    """The array these octets hold, nested arrays as tuples. Raises whatever msgpack raises."""
    values = msgpack.unpackb(octets, use_list=False, strict_map_key=True)
    return values if type(values) is tuple else _refuse("an array", values)


@cache
def reader(hint: Any) -> Reader:
    """The reader for values of this annotation."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _SIMPLE:
        return _exactly(hint)
    if hint is float:
        return _number
    if hint is object:
        return _plain
    if origin is types.UnionType and arguments[1] is types.NoneType:
        return _optional(reader(arguments[0]))
    if origin is tuple and arguments[-1] is Ellipsis:
        return _array(reader(arguments[0]))
    if origin is tuple:
        return record(_as_tuple, arguments)
    if origin is dict:
        return _mapping(reader(arguments[0]), reader(arguments[1]))
    return record(hint, tuple(hints(hint).values()))


def hints(cls: type) -> dict[str, Any]:
    """The annotations of a dataclass's or named tuple's fields, in order."""
    known = typing.get_type_hints(cls)
    if dataclasses.is_dataclass(cls):
        return {field.name: known[field.name] for field in dataclasses.fields(cls)}
    return known


def _refuse(wanted: str, value: Any) -> Any:
    raise TypeError(f"{wanted} wanted, not {type(value).__name__}")


def _exactly(kind: type) -> Reader:
    def read(value: Any) -> Any:
        return value if type(value) is kind else _refuse(kind.__name__, value)

    return read


def _number(value: Any) -> Any:
    return value if type(value) in (int, float) else _refuse("a number", value)


def _plain(value: Any) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is tuple:
        return tuple(_plain(item) for item in value)
    return _refuse("a plain value", value)


def _optional(read_present: Reader) -> Reader:
    def read(value: Any) -> Any:
        return None if value is None else read_present(value)

    return read


def _array(read_item: Reader) -> Reader:
    def read(value: Any) -> Any:
        return tuple(map(read_item, value)) if type(value) is tuple else _refuse("an array", value)

    return read


def _mapping(read_key: Reader, read_value: Reader) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is not dict:
            _refuse("a map", value)
        return {read_key(key): read_value(item) for key, item in value.items()}

    return read


def record(make: Callable[..., Any], hints: Sequence[Any]) -> Reader:
    """The reader for the array of fields of these annotations, which `make` takes.

    All types are compared at once, for that is most of what a frame costs to read; fields for which
    it is not enough are then read one by one.
    """
    signatures = frozenset(itertools.product(*map(_raw_types, hints)))
    deeper = [(place, reader(hint)) for place, hint in enumerate(hints) if hint not in _SIMPLE]

    def read(value: Any) -> Any:
        if type(value) is not tuple:
            _refuse("an array", value)
        if tuple(map(type, value)) not in signatures:
            _refuse("fields of other types", value)
        if not deeper:
            return make(*value)
        fields = list(value)
        for place, read_field in deeper:
            fields[place] = read_field(fields[place])
        return make(*fields)

    return read


def _as_tuple(*values: Any) -> tuple[Any, ...]:
    return values


def _raw_types(hint: Any) -> tuple[type, ...]:
    """As what msgpack may unpack a value of this annotation."""
    if hint in _SIMPLE:
        return (hint,)
    if hint is float:
        return (int, float)
    if hint is object:
        return (types.NoneType, bool, int, float, str, tuple)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return (*_raw_types(arguments[0]), types.NoneType)
    return (dict,) if origin is dict else (tuple,)
