"""Strict readers of msgpack values by type annotation; frames and control messages share them.

A dataclass or named tuple is the array of its fields. A reader takes what msgpack unpacked (arrays
as tuples) and raises TypeError or ValueError for anything that is not of its type.
"""

import dataclasses
import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Any

import msgpack

Reader = Callable[[Any], Any]


def unpack(octets: bytes) -> tuple[Any, ...]:
    """The array these octets hold, nested arrays as tuples. Raises whatever msgpack raises."""
    values = msgpack.unpackb(octets, use_list=False, strict_map_key=True)
    return values if type(values) is tuple else _refuse("an array", values)


@cache
def reader(hint: Any) -> Reader:
    """The reader for values of this annotation."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (int, str, bool, bytes):
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
        return _record(lambda *values: values, [reader(each) for each in arguments])
    if origin is dict:
        return _mapping(reader(arguments[0]), reader(arguments[1]))
    return _record(hint, [reader(each) for each in hints(hint).values()])


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


def _record(make: Callable[..., Any], readers: list[Reader]) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is not tuple:
            _refuse("an array", value)
        return make(*[read(item) for read, item in zip(readers, value, strict=True)])

    return read
