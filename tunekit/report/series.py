"""A metric over the steps of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tunekit.events import MetricsEvent

Point = tuple[float, float]
"""Step and value."""
POINTS = 160
"""More points than this cannot be told apart in a chart."""


def series(events: Iterable[MetricsEvent]) -> dict[str, list[Point]]:
    """Gather the finite values of each metric by step.

    A step that was taken twice, because the run was resumed, counts as it was taken last.
    """
    found: dict[str, dict[int, float]] = {}
    for event in events:
        for name, value in event.metrics.items():
            if math.isfinite(value):
                found.setdefault(name, {})[event.step] = value
    return {name: [*map(_point, sorted(values.items()))] for name, values in found.items()}


def _point(pair: tuple[int, float]) -> Point:
    return float(pair[0]), pair[1]


def thinned(points: Sequence[Point], most: int = POINTS) -> list[Point]:
    """Leave out points, but never the first, the last, or the extremes of a stretch."""
    if len(points) <= most:
        return list(points)
    stretches = max(1, (most - 2) // 2)
    inner = points[1:-1]
    kept = [points[0]]
    for number in range(stretches):
        low, high = (len(inner) * (number + edge) // stretches for edge in (0, 1))
        stretch = range(low, high)
        if stretch:
            ends = {pick(stretch, key=lambda at: inner[at][1]) for pick in (min, max)}
            kept += [inner[at] for at in sorted(ends)]
    return [*kept, points[-1]]
