"""Numbers as a reader wants them: as few digits as tell them apart, and their unit."""

from __future__ import annotations

import math

_MINUS = "\u2212"
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with so many significant digits; thousands are kept whole."""
    if value is None or not math.isfinite(value):
        return "not finite"
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return _signs(f"{mantissa}e{int(exponent)}")
    if abs(value) >= 10 ** (digits - 1):
        return _signs(f"{value:,.0f}")
    return _signs(f"{value:.{digits}g}" if value else "0")


def signed(value: float, digits: int = 3) -> str:
    """Write a number with its sign."""
    return ("+" if value > 0 else "") + number(value, digits)


def measured(value: float | None, unit: str) -> str:
    """Write a value of a metric: a share as percent, all else as it is."""
    if unit == "share" and value is not None and math.isfinite(value):
        return f"{_signs(f'{100 * value:.1f}')} %"
    return _fixed(value)


def change(value: float, unit: str) -> str:
    """Write a difference of two values: of shares, in points of percent."""
    if unit == "share":
        return f"{_plus(value)}{_signs(f'{100 * value:.1f}')} pts"
    return _plus(value) + _fixed(value)


def between(low: float, high: float, unit: str) -> str:
    """Write an interval of a difference."""
    scale, digits = (100, 1) if unit == "share" else (1, _decimals(max(abs(low), abs(high))))
    ends = (_plus(end) + _signs(f"{scale * end:.{digits}f}") for end in (low, high))
    return " to ".join(ends)


def brief(value: float) -> str:
    """Write a tick of an axis: 15k, 0.25, 2e-5."""
    if value == 0:
        return "0"
    for size, letter in _PREFIXES:
        if abs(value) >= max(size, 1e4):
            return _signs(f"{value / size:g}{letter}")
    if abs(value) < 1e-2:
        mantissa, exponent = f"{value:.2e}".split("e")
        return _signs(f"{float(mantissa):g}e{int(exponent)}")
    return _signs(f"{value:g}")


def duration(seconds: float) -> str:
    """Write a span as people say it: 4 min 05 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _fixed(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "not finite"
    if abs(value) >= 1e4:
        return number(value)
    return _signs(f"{value:.{_decimals(abs(value))}f}")


def _decimals(size: float) -> int:
    """Say how many places show three digits of a number below ten, and fewer above."""
    if size >= 100:
        return 0
    return 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 3 if size >= 0.01 else 4


def _plus(value: float) -> str:
    return "+" if value > 0 else ""


def _signs(text: str) -> str:
    """Put the true minus sign where a hyphen stands."""
    return text.replace("-", _MINUS)
