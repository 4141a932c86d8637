"""Frames as ZeroMQ message parts, and back. Pure: sockets are the callers'.

Control part: msgpack `[version, kind, field, …]`; a nested dataclass or pair is an array of its
fields. The opaque octets, where the frame has them, are the second part.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import msgpack

from router.wire import frames
from router.wire.fields import Reader, hints, reader, unpack
from router.wire.frames import VERSION, Frame, StreamId
from router.xmpp.stanza import Counts


class BadFrame(Exception):
    """The message is not a frame of a version we speak. Count it and drop it."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Shape:
    cls: type[Frame]
    control: tuple[str, ...]
    readers: tuple[Reader, ...]


def _shape(cls: type[Frame]) -> _Shape:
    control = {name: hint for name, hint in hints(cls).items() if name != cls.OCTETS}
    return _Shape(cls, tuple(control), tuple(map(reader, control.values())))


_SHAPES: Final = {
    cls.KIND: _shape(cls)
    for cls in vars(frames).values()
    if isinstance(cls, type) and issubclass(cls, Frame) and cls is not Frame
}


def _plain(value: Any) -> Any:
    if type(value) is Counts:
        return (value.messages, value.presences, value.iqs)
    if type(value) is StreamId:
        return (value.acceptor, value.number)
    return value


def encode(frame: Frame) -> list[bytes]:
    """The frame's message parts: one, or two when it carries octets."""
    shape = _SHAPES[frame.KIND]
    control = [VERSION, frame.KIND, *(_plain(getattr(frame, name)) for name in shape.control)]
    packed: bytes = msgpack.packb(control)
    return [packed] if frame.OCTETS is None else [packed, getattr(frame, frame.OCTETS)]


def decode(parts: Sequence[bytes]) -> Frame:
    """The frame these parts hold. Raises BadFrame, and nothing else, for anything else."""
    try:
        version, kind, *fields = unpack(parts[0])
        if version != VERSION:
            raise BadFrame(f"version {version!r}")
        shape = _SHAPES[kind]
        if len(parts) != (1 if shape.cls.OCTETS is None else 2):
            raise BadFrame(f"{len(parts)} parts for kind {kind}")
        values = [read(value) for read, value in zip(shape.readers, fields, strict=True)]
        return shape.cls(*values, *parts[1:])
    except BadFrame:
        raise
    except Exception as error:  # msgpack raises a dozen kinds for hostile input
        raise BadFrame(f"{type(error).__name__}: {error}"[:200]) from None
