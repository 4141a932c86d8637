"""What all frames have in common, and the name of a stream. The frames themselves are `frames`."""

from dataclasses import dataclass
from typing import ClassVar, Final

VERSION: Final = 2
"""The newest that we speak; all before it are understood as well."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Base of all frames; `KIND` is the number on the wire, `OCTETS` names the opaque field."""

    KIND: ClassVar[int]
    SINCE: ClassVar[int] = 1
    ADDED: ClassVar[tuple[int, ...]] = ()
    """Values for the fields at the end that the form before `SINCE` lacks."""
    OCTETS: ClassVar[str | None] = None


@dataclass(frozen=True, slots=True)
class StreamId:
    """One stream of one acceptor incarnation; never reused."""

    acceptor: str
    number: int
