"""What a benchmark's `page` module makes of its JSON document, for `page` and `compare`.

Each benchmark gives `sections(document)` and `figures(document)`, from the document alone, so that
a report can be drawn again from the file.
"""

from dataclasses import dataclass
from typing import Any, Protocol

Document = dict[str, Any]
"""The header of `bench.result`, "settings" and "results", as JSON has them."""


@dataclass(frozen=True, slots=True)
class Table:
    """Words and figures in rows; each row is as long as `columns`."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report, in this order: title, text, picture, table. What is empty is left out.

    `text` is plain; an empty line in it separates paragraphs. `svg` comes from `plots`.
    """

    title: str
    text: str = ""
    svg: str = ""
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One result that two documents of a benchmark can be compared by; `name` is unique in each.

    `samples` are the values of the rounds that `value` was made of, in the same unit; without them
    a difference cannot be told from noise. The first figures of a document head its report.
    """

    name: str
    value: float
    unit: str
    samples: tuple[float, ...] = ()
    lower_is_better: bool = True


class Page(Protocol):
    """The module `page` of a benchmark."""

    def sections(self, document: Document) -> list[Section]:
        """The parts of the report, in order."""

    def figures(self, document: Document) -> list[Figure]:
        """What there is to compare, the most telling first."""
