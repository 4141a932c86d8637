"""The picture of a comparison: how many times its former value each figure is. For `command`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from bench.report.amounts import number
from bench.report.compare import BETTER, WORSE
from bench.report.drawing import draw, name_rows, number_axis
from bench.report.palette import GREEN, GREY, INK, RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW_IN: Final = 0.27
_FRAME_IN: Final = 0.55
_SHADES: Final = {BETTER: GREEN, WORSE: RED}


def ratios(title: str, values: Mapping[str, tuple[float, str]]) -> str:
    """For each name how many times its former value it is now, about 1, by its verdict's colour.

    Values are (ratio, verdict); the verdicts are those of `compare`.
    """

    def paint(axes: "Axes") -> None:
        axes.set_xscale("log")
        for at, (ratio, verdict) in enumerate(values.values()):
            shade = _SHADES.get(verdict, GREY)
            axes.plot((1, ratio), (at, at), color=shade.light, linewidth=2.2)
            axes.plot((ratio,), (at,), "o", color=shade.light, markersize=6)
            axes.annotate(
                f"{number(ratio)}x",
                (ratio, at),
                (7 if ratio >= 1 else -7, 0),
                textcoords="offset points",
                ha="left" if ratio >= 1 else "right",
                va="center",
                fontsize=8.5,
            )
        axes.axvline(1, color=INK.light, linewidth=1)
        far = max([1.12, *(max(ratio, 1 / ratio) for ratio, _ in values.values())]) ** 1.35
        axes.set_xlim(1 / far, far)
        name_rows(axes, dict(enumerate(values)), len(values))
        number_axis(axes, "x", log=True)
        axes.set_xlabel("times the first document's value", loc="right", fontsize=8.5)

    return draw(title, _FRAME_IN + _ROW_IN * max(1, len(values)), paint)
