"""Frames as ZeroMQ message parts, and back. Pure: sockets are the callers'.

Control part: msgpack `[version, kind, field, …]`; a nested dataclass or pair is an array of its
fields. The opaque octets, where the frame has them, are the second part. To a process of an earlier
version a frame goes in the form that this one had then.
"""

import dataclasses
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

import msgpack

from router.wire import frames
from router.wire.fields import Reader, hints, record, unpack
from router.wire.frames import VERSION, Frame, StreamId
from router.xmpp.errors import MisuseError
from router.xmpp.stanza import Counts


class BadFrame(Exception):
    """The message is not a frame of a version we speak. Count it and drop it."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Shape:
    cls: type[Frame]
    control: Callable[[Frame], tuple[Any, ...]]
    """The fields of the control part."""
    read: Reader


def _shape(cls: type[Frame]) -> _Shape:
    control = {name: hint for name, hint in hints(cls).items() if name != cls.OCTETS}
    if len(control) == 1:  # attrgetter makes no tuple then
        only = attrgetter(*control)
        return _Shape(cls, lambda frame: (only(frame),), record(_as_tuple, (*control.values(),)))
    return _Shape(cls, attrgetter(*control), record(_as_tuple, (*control.values(),)))


def _as_tuple(*values: Any) -> tuple[Any, ...]:
    return values


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
    raise TypeError(f"a field of type {type(value).__name__}")


_PACKER: Final = msgpack.Packer(default=_plain)


def has_form(frame: Frame, version: int) -> bool:
    """Whether a process that speaks no later version than this knows such a frame."""
    return version >= frame.SINCE or bool(frame.ADDED)


def encode(frame: Frame, version: int = VERSION) -> list[bytes]:
    """The frame's message parts: one, or two when it carries octets.

    In the form for a process that speaks no later version. Raises MisuseError where there is none.
    """
    control = _SHAPES[frame.KIND].control(frame)
    form = frame.SINCE
    if version < form:
        if not frame.ADDED:
            raise MisuseError(f"{type(frame).__name__} is unknown in version {version}")
        form, control = form - 1, control[: -len(frame.ADDED)]
    packed: bytes = _PACKER.pack((form, frame.KIND, *control))
    return [packed] if frame.OCTETS is None else [packed, getattr(frame, frame.OCTETS)]


def decode(parts: Sequence[bytes]) -> Frame:
    """The frame these parts hold. Raises BadFrame, and nothing else, for anything else."""
    try:
        version, kind, *fields = unpack(parts[0])
        if type(version) is not int or not 1 <= version <= VERSION:
            raise BadFrame(f"version {version!r}")
        shape = _SHAPES[kind]
        if version < shape.cls.SINCE:
            fields += shape.cls.ADDED
        if len(parts) != (1 if shape.cls.OCTETS is None else 2):
            raise BadFrame(f"{len(parts)} parts for kind {kind}")
        return shape.cls(*shape.read(tuple(fields)), *parts[1:])
    except BadFrame:
        raise
    except Exception as error:  # msgpack raises a dozen kinds for hostile input
        raise BadFrame(f"{type(error).__name__}: {error}"[:200]) from None
