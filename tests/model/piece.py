"""Mutable state that can be forked, and frozen to compare: what the actors are made of."""

from typing import Any, Self


class Piece:
    """A slotted dataclass of numbers, names, named tuples, pieces, and lists, sets, dicts of them.

    Elements of lists and sets, and keys, are immutable.
    """

    __slots__: tuple[str, ...] = ()

    def fork(self) -> Self:
        """A copy that shares nothing that can change."""
        new = object.__new__(type(self))
        for name in self.__slots__:
            setattr(new, name, _forked(getattr(self, name)))
        return new

    def frozen(self) -> tuple[Any, ...]:
        """Equal, and of equal hash, for equal pieces."""
        return tuple(_frozen(getattr(self, name)) for name in self.__slots__)


def _forked(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _forked(element) for key, element in value.items()}
    if kind is list or kind is set:
        return value.copy()
    return value.fork() if isinstance(value, Piece) else value


def _frozen(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return frozenset((key, _frozen(element)) for key, element in value.items())
    if kind is list:
        return tuple(value)
    if kind is set:
        return frozenset(value)
    return value.frozen() if isinstance(value, Piece) else value
