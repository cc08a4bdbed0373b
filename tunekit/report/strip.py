"""A difference and its interval as a small picture beside the numbers."""

from __future__ import annotations

from dataclasses import dataclass

from tunekit.evaluation.verdict import Difference, Signal

WIDTH, HEIGHT = 160, 22
_MARGIN = 6.0


@dataclass(frozen=True)
class Strip:
    """Places along a line, in units of the picture."""

    zero: float
    low: float
    high: float
    value: float
    shade: tuple[float, float] | None = None
    """What cannot be told from no change, from and up to."""
    marks: tuple[float, ...] = ()
    """Limits: warn, fail."""

    @classmethod
    def of(cls, difference: Difference) -> Strip:
        """Place a difference around zero; what is too small to be found is shaded."""
        reach = max(abs(difference.low), abs(difference.high), difference.detectable) or 1.0
        place = _Scale(-reach, reach)
        return cls(
            zero=place(0.0),
            low=place(difference.low),
            high=place(difference.high),
            value=place(difference.change),
            shade=(place(-difference.detectable), place(difference.detectable)),
        )

    @classmethod
    def limits(cls, signal: Signal) -> Strip:
        """Place a sign of forgetting between its limits."""
        ends = (signal.low, signal.high, signal.value, signal.warn, signal.fail)
        start = min(0.0, *ends) if signal.better == "lower" else min(ends)
        place = _Scale(start, max(ends))
        return cls(
            zero=place(start),
            low=place(signal.low),
            high=place(signal.high),
            value=place(signal.value),
            marks=(place(signal.warn), place(signal.fail)),
        )


class _Scale:
    def __init__(self, low: float, high: float) -> None:
        self._low, self._span = low, (high - low) or 1.0

    def __call__(self, value: float) -> float:
        share = min(1.0, max(0.0, (value - self._low) / self._span))
        return round(_MARGIN + share * (WIDTH - 2 * _MARGIN), 1)
