"""The pictures of reports as inline SVG, all in one style. Called by the `page` modules.

Every bar and every line carries its name and its value, so that none needs a legend.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.report.amounts import amount, number
from bench.report.drawing import draw, name_rows, number_axis
from bench.report.palette import BLUE, INK, ON_PALE, PANEL, RED, Colour, colours, has_subject, on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

_BAR_IN: Final = 0.27
_FRAME_IN: Final = 0.55
_LINES_IN: Final = 3.6
_DASHES: Final = ("solid", (0, (5, 2)), (0, (1.5, 1.8)), (0, (5, 1.5, 1.2, 1.5)))
_MOST_DOTS: Final = 40
_LIMIT: Final = (0, (4, 2))
_LABEL_GAP: Final = 0.062
"""Least distance between the names of two lines, of the height of the plot."""


@dataclass(frozen=True, slots=True)
class Line:
    """One curve. `subject` gives it its colour (lines of one subject share it), `dashes` its style.

    `mark` is the x where it is marked with `mark_text`, as where something is saturated.
    """

    name: str
    points: Sequence[tuple[float, float]]
    subject: str = ""
    dashes: int = 0
    mark: float | None = None
    mark_text: str = ""


def bars(
    title: str,
    values: Mapping[str, float],
    unit: str,
    *,
    log: bool = False,
    limit: tuple[str, float] | None = None,
    spread: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """A bar for each name, its value at its end; `limit` is a line across, `spread` a whisker.

    All of one colour, unless the names are those of servers, which have their own.
    """
    return grouped_bars(title, {"": values}, unit, log=log, limit=limit, spread={"": spread or {}})


def grouped_bars(
    title: str,
    groups: Mapping[str, Mapping[str, float]],
    unit: str,
    *,
    log: bool = False,
    limit: tuple[str, float] | None = None,
    spread: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
) -> str:
    """Groups of bars below each other, each group under its name; names share colours.

    With `log` the axis is logarithmic; a value of 0 then has no bar, only its words.
    """
    rows = _rows(groups, spread or {})
    height = max((row.at for row in rows), default=0.0) + 1
    is_one_series = not any(groups) and not has_subject(row.name for row in rows)
    shades = colours(row.name for row in rows)

    def paint(axes: "Axes") -> None:
        base = _base(rows) if log else 0.0
        for row in rows:
            _bar(axes, row, BLUE if is_one_series else shades[row.name], base, unit)
        axes.set_xscale("log" if log else "linear")
        axes.set_xlim(*_reach(rows, base, limit[1] if limit else base, log))
        name_rows(axes, {row.at: row.name for row in rows}, height)
        number_axis(axes, "x", log)
        axes.set_xlabel(f"{unit}, logarithmic" if log else unit, loc="right", fontsize=8.5)
        for name in filter(None, groups):
            first = min((row.at for row in rows if row.group == name), default=0.0)
            _head(axes, name, first - 0.98)
        if limit is not None:
            axes.axvline(limit[1], color=RED.light, linestyle=_LIMIT, linewidth=1.2, zorder=2.5)
            _say_limit(axes, limit[0], (limit[1], 1), ("data", "axes fraction"))

    return draw(title, _FRAME_IN + (height + 0.1) * _BAR_IN, paint)


def curves(
    title: str,
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    log_x: bool = False,
    log_y: bool = False,
    limit: tuple[str, float] | None = None,
) -> str:
    """Lines through their points, each named at its right; `limit` is a line across.

    Points that are not finite, or not positive on a logarithmic axis, are left out.
    """
    shades = colours(line.subject or line.name for line in lines)

    def paint(axes: "Axes") -> None:
        ends: list[tuple[float, str, Colour]] = []
        axes.set_xscale("log" if log_x else "linear")
        axes.set_yscale("log" if log_y else "linear")
        seen = []
        for line in lines:
            points = [each for each in line.points if _is_drawable(each, log_x, log_y)]
            if not points:
                continue
            shade = shades[line.subject or line.name]
            _curve(axes, line, sorted(points), shade)
            ends.append((max(points)[1], line.name, shade))
            seen += points
        if limit is not None:
            axes.axhline(limit[1], color=RED.light, linestyle=_LIMIT, linewidth=1.1)
            _say_limit(axes, limit[0], (0.01, limit[1]), ("axes fraction", "data"))
        if not log_y:
            heights = [0.0, limit[1] if limit else 0.0, *(y for _, y in seen)]
            axes.set_ylim(min(heights), max(heights) * 1.06 or 1.0)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        number_axis(axes, "x", log_x)
        number_axis(axes, "y", log_y)
        _name_ends(axes, ends)

    return draw(title, _LINES_IN, paint)


def stacked(title: str, stacks: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """A bar for each name made of its parts in order; the sum at its end, names in or below it.

    A part has the same colour in every bar; parts that are too narrow for words are in the list of
    parts below, which names them all.
    """
    parts = list(dict.fromkeys(part for values in stacks.values() for part in values))
    shades = colours(parts)
    longest = max((sum(values.values()) for values in stacks.values()), default=1.0)
    columns = 3 if len(parts) > 4 else max(1, len(parts))
    list_in = 0.24 * math.ceil(len(parts) / columns)

    def paint(axes: "Axes") -> None:
        for at, values in enumerate(stacks.values()):
            left = 0.0
            for index, part in enumerate(parts):
                width = values.get(part, 0.0)
                is_again = index >= len(set(shades.values()))
                _part(axes, (left, at), width, shades[part], is_again)
                if width > longest * 0.055:
                    _say_inside(
                        axes,
                        number(width),
                        (left + width / 2, at),
                        ON_PALE if is_again else on(shades[part]),
                    )
                left += width
            axes.annotate(
                amount(left, unit),
                (left, at),
                (5, 0),
                textcoords="offset points",
                va="center",
                fontweight="bold",
                fontsize=8.5,
            )
        name_rows(axes, dict(enumerate(stacks)), len(stacks))
        axes.set_xlim(0, longest * 1.15)
        number_axis(axes, "x", log=False)
        axes.set_xlabel(unit, loc="right", fontsize=8.5)
        if axes.figure is not None:
            axes.figure.legend(
                _keys(shades),
                parts,
                loc="outside lower left",
                ncols=columns,
                fontsize=8.5,
                handlelength=1,
                handleheight=1,
                labelcolor=INK.light,
            )

    return draw(title, 0.75 + 0.42 * len(stacks) + list_in, paint)


@dataclass(frozen=True, slots=True)
class _Row:
    """A bar in its place, counted from the top in bars, with its whisker."""

    at: float
    group: str
    name: str
    value: float
    low: float
    high: float

    @property
    def end(self) -> float:
        """Where it ends; one whose value is not known has no length."""
        return self.value if math.isfinite(self.value) else 0.0


def _rows(
    groups: Mapping[str, Mapping[str, float]],
    spread: Mapping[str, Mapping[str, tuple[float, float]]],
) -> list[_Row]:
    rows, at = [], 0.0
    for group, values in groups.items():
        at += 1.0 if group else 0.0
        for name, value in values.items():
            low, high = spread.get(group, {}).get(name, (value, value))
            rows.append(_Row(at, group, name, value, low, high))
            at += 1.0
        at += 0.35
    return rows


def _base(rows: Sequence[_Row]) -> float:
    """Where bars begin on a logarithmic axis: a power of ten below the least of them."""
    positive = [row.end for row in rows if row.end > 0]
    return float(10.0 ** math.floor(math.log10(min(positive) / 1.5))) if positive else 1.0


def _reach(rows: Sequence[_Row], base: float, limit: float, log: bool) -> tuple[float, float]:
    """From where to where the axis goes, with room for the words behind the bars."""
    ends = [base, limit, *(row.end for row in rows)]
    ends += [row.high for row in rows if math.isfinite(row.high)]
    top, least = max(ends), min(ends)
    if log:
        top = max(top, base * 10)
        return base, top * (top / base) ** 0.22
    room = (top - min(least, 0.0) or 1.0) * 0.19
    return least - room if least < 0 else 0.0, top + room


def _bar(axes: "Axes", row: _Row, shade: Colour, base: float, unit: str) -> None:
    end = row.end if base == 0 else max(row.end, base)
    axes.barh(row.at, end - base, 0.74, left=base, color=shade.light)
    if row.high > row.low:
        axes.plot((max(row.low, base), row.high), (row.at, row.at), color=INK.light, linewidth=1)
    is_below = end < base
    axes.annotate(
        amount(row.value, unit),
        (end if is_below or row.high <= row.low else max(end, row.high), row.at),
        (-5 if is_below else 5, 0),
        textcoords="offset points",
        ha="right" if is_below else "left",
        va="center",
        fontsize=8.5,
        bbox={"facecolor": PANEL.light, "edgecolor": "none", "pad": 0.6},
    )


def _curve(axes: "Axes", line: Line, points: Sequence[tuple[float, float]], shade: Colour) -> None:
    x, y = zip(*points, strict=True)
    style = _DASHES[line.dashes % len(_DASHES)]
    dot = "o" if len(points) < _MOST_DOTS else None
    axes.plot(x, y, color=shade.light, linestyle=style, marker=dot, markersize=3.5)
    if line.mark is None:
        return
    axes.axvline(line.mark, color=shade.light, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.annotate(
        line.mark_text,
        (line.mark, 0.985),
        (-2, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        rotation=90,
        ha="right",
        va="top",
        color=shade.light,
        fontsize=8,
    )


def _part(
    axes: "Axes", at: tuple[float, float], width: float, shade: Colour, is_again: bool
) -> None:
    """One of a stack; paler where its colour stands for another part already."""
    axes.barh(
        at[1],
        width,
        0.72,
        left=at[0],
        color=shade.light,
        alpha=0.55 if is_again else 1.0,
        edgecolor=PANEL.light,
        linewidth=0.8,
    )


def _say_inside(axes: "Axes", words: str, at: tuple[float, float], ink: Colour) -> None:
    axes.annotate(words, at, ha="center", va="center", fontsize=8, color=ink.light)


def _keys(shades: Mapping[str, Colour]) -> "list[Patch]":
    """A small field for each part."""
    from matplotlib.patches import Patch

    first = len(set(shades.values()))
    return [
        Patch(color=shade.light, alpha=0.55 if index >= first else 1.0, linewidth=0)
        for index, shade in enumerate(shades.values())
    ]


def _head(axes: "Axes", name: str, at: float) -> None:
    axes.annotate(
        name,
        (0, at),
        (4, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontweight="bold",
    )


def _say_limit(axes: "Axes", words: str, at: tuple[float, float], measure: tuple[str, str]) -> None:
    axes.annotate(
        words,
        at,
        (3, 3),
        xycoords=measure,
        textcoords="offset points",
        color=RED.light,
        fontsize=8.5,
    )


def _is_drawable(point: tuple[float, float], log_x: bool, log_y: bool) -> bool:
    x, y = point
    is_finite = math.isfinite(x) and math.isfinite(y)
    return is_finite and (x > 0 or not log_x) and (y > 0 or not log_y)


def _name_ends(axes: "Axes", ends: Sequence[tuple[float, str, Colour]]) -> None:
    """Names at the right of the plot, as near to the ends of their lines as they do not touch."""
    to_axes = axes.transAxes.inverted()
    low_x = axes.get_xlim()[0]
    placed = [
        (float(to_axes.transform(axes.transData.transform((low_x, y)))[1]), name, shade)
        for y, name, shade in sorted(ends, key=lambda end: end[0])
    ]
    heights = spread_out([height for height, _, _ in placed], _LABEL_GAP)
    for height, (_, name, shade) in zip(heights, placed, strict=True):
        axes.annotate(
            name,
            (1.012, height),
            xycoords="axes fraction",
            va="center",
            color=shade.light,
            fontsize=8.5,
            annotation_clip=False,
        )


def spread_out(places: Sequence[float], gap: float) -> list[float]:
    """Ascending places moved apart until neighbours are `gap` from each other, about their middle.

    >>> spread_out([0.5, 0.5], 0.1)
    [0.45, 0.55]
    """
    clusters: list[tuple[float, int]] = []  # middle, how many
    for place in places:
        middle, size = place, 1
        while clusters and middle - gap * size / 2 < clusters[-1][0] + gap * clusters[-1][1] / 2:
            before, count = clusters.pop()
            middle = (before * count + middle * size) / (count + size)
            size += count
        clusters.append((middle, size))
    return [
        middle + gap * (index - (size - 1) / 2)
        for middle, size in clusters
        for index in range(size)
    ]
