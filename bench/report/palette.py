"""The colours of reports, once: light, dark, and which of them a name gets.

Told apart with every common colour vision deficiency. Plots are drawn in the light ones, each of
which then becomes a variable of the page, so that one picture serves both schemes.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Colour:
    """A variable of the page: its name, and its value on light and on dark ground."""

    name: str
    light: str
    dark: str


INK: Final = Colour("ink", "#1c2024", "#e6e8ea")
MUTED: Final = Colour("muted", "#5d6670", "#9aa4ae")
RULE: Final = Colour("rule", "#dde2e7", "#343b42")
GROUND: Final = Colour("ground", "#fbfcfd", "#14171a")
PANEL: Final = Colour("panel", "#fffffe", "#1b1f23")
ON_FILL: Final = Colour("on-fill", "#fefefe", "#101214")
"""Words on a fill that is dark on light ground, and light on dark ground."""
ON_PALE: Final = Colour("on-pale", "#101215", "#101216")
"""Words on a fill that is pale on either."""

BLUE: Final = Colour("blue", "#0a66a8", "#5aa9e6")
ORANGE: Final = Colour("orange", "#e09b1a", "#f0b34a")
PURPLE: Final = Colour("purple", "#9c4f80", "#d79abf")
GREEN: Final = Colour("green", "#00806a", "#3fc3a0")
GREY: Final = Colour("grey", "#7a838c", "#8f99a3")
SKY: Final = Colour("sky", "#63b7ea", "#a3d8f7")
RED: Final = Colour("red", "#c2500a", "#f0885a")

_PALE: Final = (ORANGE, SKY)
_SERIES: Final = (BLUE, ORANGE, GREEN, PURPLE, GREY, SKY, RED)
_SUBJECTS: Final = {
    "causeway": (BLUE, SKY, GREEN),
    "prosody": (ORANGE,),
    "ejabberd": (PURPLE,),
    "haproxy": (GREY,),
}
_ALL: Final = (INK, MUTED, RULE, GROUND, PANEL, ON_FILL, ON_PALE, *_SERIES)


def colours(names: Iterable[str]) -> dict[str, Colour]:
    """A colour for each name, in order. A server has its own in every plot.

    "causeway, pure" is a configuration of causeway, which has some shades for those. All other
    names get what is left; beyond seven they come round again.
    """
    wanted = list(dict.fromkeys(names))
    chosen: dict[str, Colour] = {}
    for name in sorted(wanted, key=len):
        own = _SUBJECTS.get(_server(name), ())
        free = [each for each in own if each not in chosen.values()]
        if free:
            chosen[name] = free[0]
    left = [colour for colour in _SERIES if colour not in chosen.values()] or list(_SERIES)
    others = [name for name in wanted if name not in chosen]
    chosen |= {name: left[index % len(left)] for index, name in enumerate(others)}
    return {name: chosen[name] for name in wanted}


def has_subject(names: Iterable[str]) -> bool:
    """Whether one of the names is a server's, which has its own colour."""
    return any(_server(name) in _SUBJECTS for name in names)


def _server(name: str) -> str:
    return re.split(r"[\s,:(-]", name.lower(), maxsplit=1)[0]


def on(colour: Colour) -> Colour:
    """What to write with on a fill of this colour."""
    return ON_PALE if colour in _PALE else ON_FILL


def with_variables(svg: str) -> str:
    """The picture with the page's variables in place of the light colours."""
    for colour in _ALL:
        svg = svg.replace(colour.light, f"var(--{colour.name},{colour.light})")
    return svg


def style_sheet() -> str:
    """CSS that defines the variables for both schemes."""
    light = "".join(f"--{colour.name}:{colour.light};" for colour in _ALL)
    dark = "".join(f"--{colour.name}:{colour.dark};" for colour in _ALL)
    return f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
