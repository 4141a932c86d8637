"""The canvas of all plots: matplotlib set up once, and its SVG made fit to stand inside a page.

`plots` draws on it. matplotlib is imported when the first plot is drawn, not before.
"""

import hashlib
import io
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from bench.report.amounts import number
from bench.report.palette import INK, MUTED, RULE, with_variables

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_IN: Final = 7.8
_SETTINGS: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "causeway",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": RULE.light,
    "axes.labelcolor": MUTED.light,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": RULE.light,
    "grid.linewidth": 0.7,
    "text.color": INK.light,
    "xtick.color": MUTED.light,
    "ytick.color": MUTED.light,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
}
_NO_METADATA: Final = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_FONT: Final = re.compile(r"(font(?:-family)?: (?:[^;\"]*? )?)'DejaVu Sans'[^;\"]*")
_ID: Final = re.compile(r"(?<=\bid=\")[^\"]+(?=\")")
_REFERENCE: Final = re.compile(r"(?<=[(\"]#)[^)\"]+(?=[)\"])")


def draw(title: str, height_in: float, paint: "Callable[[Axes], None]") -> str:
    """An inline `<svg>` of the page's width, painted on; `title` is what a screen reader says.

    The same picture is the same text every time, and no id in it occurs in another picture.
    """
    import matplotlib
    from matplotlib.figure import Figure

    octets = io.BytesIO()
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.subplots()
        axes.patch.set_visible(False)
        paint(axes)
        figure.savefig(octets, format="svg", metadata=_NO_METADATA)
    return _inline(octets.getvalue().decode(), title)


def name_rows(axes: "Axes", names: Mapping[float, str], height: float) -> None:
    """The words left of rows that stand so many below each other; `height` is that of all."""
    axes.set_yticks(list(names), list(names.values()))
    axes.tick_params(axis="y", labelcolor=INK.light)
    axes.set_ylim(height - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["bottom"].set_visible(False)


def number_axis(axes: "Axes", which: str, log: bool) -> None:
    """Numbers in full at the ticks; on a short logarithmic axis at 2 and 5, too."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    if log:
        low, high = axis.get_view_interval()
        is_short = high / max(low, 1e-300) < 500
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if is_short else (1,), numticks=12))
    else:
        axis.set_major_locator(MaxNLocator(6, steps=(1, 2, 2.5, 5, 10)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def _inline(svg: str, title: str) -> str:
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = _FONT.sub(r"\1var(--sans,sans-serif)", svg)
    used = set(_REFERENCE.findall(svg))
    mark = hashlib.blake2b(svg.encode(), digest_size=4).hexdigest()
    svg = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = _ID.sub(lambda found: f"p{mark}-{found[0]}", svg)
    svg = _REFERENCE.sub(lambda found: f"p{mark}-{found[0]}", svg)
    label = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return with_variables(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))
