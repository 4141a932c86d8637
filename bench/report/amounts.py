"""Quantities as people read them: three significant digits, thousands apart, the unit behind."""

import math
from typing import Final

_DIGITS: Final = 3
_WHOLE_FROM: Final = 100.0


def number(value: float) -> str:
    """The value alone: 0.0123, 1.23, 12.3, 123, 12,345; what is not finite as a dash."""
    if not math.isfinite(value):
        return "-"
    if value == 0 or abs(value) >= _WHOLE_FROM - 0.5:
        return f"{value:,.0f}"
    decimals = _DIGITS - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")


def amount(value: float, unit: str) -> str:
    """The value with its unit; "%" and "x" follow it at once."""
    gap = "" if unit in ("", "%", "x") else " "
    return f"{number(value)}{gap}{unit}"
