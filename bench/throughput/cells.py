"""What a run measures: a mode, so many domain pairs, stanzas of one size, so many acceptors.

Called by `command`, which makes the cells of its options, and by whoever needs a cell's name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

MODES: Final = ("in", "out", "echo", "in-8")
_MODE: Final = re.compile(r"(in|out|echo|gateway)(?:-([1-9]\d{0,3}))?")

Direction = Literal["in", "out", "echo", "gateway"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination. "in": from remote servers to components; "out": the other way.

    "gateway": from remote servers to one that stands behind the router.
    """

    direction: Direction
    pairs: int
    size_bytes: int
    acceptors: int = 1

    @property
    def is_inward(self) -> bool:
        """Whether all that is measured comes from outside."""
        return self.direction in ("in", "gateway")

    @property
    def mode(self) -> str:
        """The direction, with the number of pairs behind it where it is not one."""
        return self.direction if self.pairs == 1 else f"{self.direction}-{self.pairs}"


def cells(
    modes: Sequence[str], sizes: Sequence[int], pairs: Sequence[int], acceptors: Sequence[int]
) -> list[Cell]:
    """Each mode at the first value of each list, then each further value with the others' first.

    A mode with its number of pairs in its name ("in-8") keeps it, and has the first size alone.
    Raises ValueError for a mode that is none.
    """
    found: list[Cell] = []
    for mode in modes:
        matched = _MODE.fullmatch(mode)
        if matched is None:
            raise ValueError(f"{mode!r} is no mode: in, out, echo or gateway, or such as in-8")
        direction = cast(Direction, matched[1])
        of_mode = [int(matched[2])] if matched[2] else list(pairs)
        of_sizes = sizes[:1] if matched[2] else sizes
        found += [Cell(direction, of_mode[0], size, acceptors[0]) for size in of_sizes]
        found += [Cell(direction, number, sizes[0], acceptors[0]) for number in of_mode[1:]]
        found += [Cell(direction, of_mode[0], sizes[0], number) for number in acceptors[1:]]
    return list(dict.fromkeys(found))
