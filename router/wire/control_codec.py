"""Control messages as octets, and back. Pure: the length prefix and the socket are the link's."""

import dataclasses
from typing import Final

import msgpack

from router.wire import control
from router.wire.control import VERSION, Message
from router.wire.fields import Reader, reader, unpack


class BadMessage(Exception):
    """The octets are not a control message of a version we speak. Give the link up."""


_READ: Final[dict[int, Reader]] = {
    cls.KIND: reader(cls)  # type: ignore[arg-type]  # a frozen dataclass is hashable
    for cls in vars(control).values()
    if isinstance(cls, type) and issubclass(cls, Message) and cls is not Message
}


def encode(message: Message) -> bytes:
    """`[version, kind, field, …]` in the order the fields stand in `router.wire.control`."""
    values = [getattr(message, field.name) for field in dataclasses.fields(message)]
    packed: bytes = msgpack.packb([VERSION, message.KIND, *values])
    return packed


def decode(octets: bytes) -> Message:
    """The message these octets hold. Raises BadMessage, and nothing else, for anything else."""
    try:
        version, kind, *values = unpack(octets)
        if version != VERSION:
            raise BadMessage(f"version {version!r}")
        message: Message = _READ[kind](tuple(values))
    except BadMessage:
        raise
    except Exception as error:  # msgpack raises a dozen kinds for hostile input
        raise BadMessage(f"{type(error).__name__}: {error}"[:200]) from None
    return message
