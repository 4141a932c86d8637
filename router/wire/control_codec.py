"""Control messages as octets, and back. Pure: the length prefix and the socket are the link's."""

from dataclasses import dataclass, fields
from typing import Any, Final

import msgpack

from router.wire import control
from router.wire.control import OLDEST, VERSION, Message
from router.wire.fields import Reader, reader, unpack


class BadMessage(Exception):
    """The octets are not a control message of a version we speak. Give the link up."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """A kind of message. `grown` holds the defaults of the fields it got since version 3."""

    cls: type[Message]
    names: tuple[str, ...]
    grown: tuple[Any, ...]
    read: Reader

    def without_saying(self, values: list[Any]) -> list[Any]:
        """The values, but for those at the end that go without saying."""
        made_with = len(self.names) - len(self.grown)
        while len(values) > made_with and values[-1] == self.grown[len(values) - made_with - 1]:
            values.pop()
        return values

    def completed(self, version: int, values: list[Any]) -> tuple[Any, ...]:
        """All fields, from those that a message of this version holds."""
        if version == OLDEST:
            return (*values, *self.cls.LACKS)
        missing = len(self.names) - len(values)
        if missing > len(self.grown):
            raise BadMessage(f"{len(values)} fields for kind {self.cls.KIND}")
        known = values[: len(self.names)]
        return (*known, *self.grown[len(self.grown) - missing :]) if missing > 0 else tuple(known)


def _shape(cls: type[Message]) -> _Shape:
    of = fields(cls)
    grown = tuple(each.default for each in of[len(of) - cls.GREW :])
    names = tuple(each.name for each in of)
    return _Shape(cls, names, grown, reader(cls))  # type: ignore[arg-type]  # a dataclass is hashable


_SHAPES: Final[dict[int, _Shape]] = {
    cls.KIND: _shape(cls)
    for cls in vars(control).values()
    if isinstance(cls, type) and issubclass(cls, Message) and cls is not Message
}


def encode(message: Message, version: int = VERSION) -> bytes:
    """`[version, kind, field, …]` in the order the fields stand in `router.wire.control`.

    The message must be of a kind that this version has.
    """
    shape = _SHAPES[message.KIND]
    values = [getattr(message, name) for name in shape.names]
    if version == OLDEST:
        values = values[: len(values) - len(message.LACKS)]
    else:
        values = shape.without_saying(values)
    packed: bytes = msgpack.packb([version, message.KIND, *values])
    return packed


def decode(octets: bytes) -> Message:
    """The message these octets hold. Raises BadMessage, and nothing else, for anything else."""
    try:
        version, kind, *values = unpack(octets)
        if type(version) is not int or not OLDEST <= version <= VERSION:
            raise BadMessage(f"version {version!r}")
        shape = _SHAPES[kind]
        message: Message = shape.read(shape.completed(version, values))
    except BadMessage:
        raise
    except Exception as error:  # msgpack raises a dozen kinds for hostile input
        raise BadMessage(f"{type(error).__name__}: {error}"[:200]) from None
    return message
