"""Base against tuned on the same items: the difference, its interval, and what could be found.

Means have the clustered standard error of paired differences (Miller 2024, arXiv 2411.00640) with
Student's t over the clusters; any other figure has a bootstrap over clusters. Either is widened to
zero where an exact test by swapping base and tuned within clusters (Fisher 1935) finds nothing:
on few items, or where few of them differ, an interval alone is too sure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast

from tunekit.evaluation.statistics import Z80, Z95, student
from tunekit.evaluation.verdict import Difference, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Statistic = Callable[["Floats"], "Floats"]
"""From sums over items, [..., counts], to a figure, [...]."""

DRAWS = 10_000
_CHUNK = 2**22
"""Numbers drawn at once: 32 MB."""
_EXACT = 13
"""Up to so many clusters every way to swap is tried."""
_LARGE = 1000
"""From so many clusters on the normal approximation needs no second opinion."""
_FEWEST = 6
"""With fewer clusters no test can reach 5 %: 2 / 2^5 is more."""
_FLIPS = 7.9
"""Expected one-sided changes of which 6 or more, enough for p < 0.05, come in 80 % of cases."""


@dataclass(frozen=True)
class Measure:
    """What a figure is called, counted in, and which way is better."""

    name: str
    unit: str
    better: Literal["lower", "higher"]

    @property
    def bounded(self) -> bool:
        """Say whether it lies between 0 and 1."""
        return self.unit in ("share", "score")


def mean_difference(
    measure: Measure,
    base: Sequence[float],
    tuned: Sequence[float],
    *,
    clusters: Sequence[int],
    weights: Sequence[float] | None = None,
) -> Difference | None:
    """Compare two weighted means over the same items; None for fewer than two clusters.

    Args:
        measure: What is measured.
        base: One value for each item, the mean of what the item's weight counts.
        tuned: The same for the tuned model.
        clusters: Which items belong together, by number.
        weights: How much each item counts, such as its tokens; None is alike.
    """
    import numpy as np

    weight = np.ones(len(base)) if weights is None else np.asarray(weights, dtype=float)
    before, after = (weight * np.asarray(side, dtype=float) for side in (base, tuned))
    sums = [_by_cluster(side, clusters) for side in (before, after, weight)]
    if len(sums[0]) < 2:
        return None
    total = float(sums[2].sum())
    change = sums[1] - sums[0]
    middle = float(change.sum()) / total
    error = _clustered(change - middle * sums[2], total)
    groups = len(change)
    reach = student(groups - 1) * error
    found = _Found(
        float(sums[0].sum()) / total,
        float(sums[1].sum()) / total,
        (middle - reach, middle + reach),
        (student(groups - 1) + Z80) * error,
    )
    sure = groups >= _LARGE or _swapped(
        np.stack([sums[0], sums[2]], 1), np.stack([sums[1], sums[2]], 1), _ratio
    )
    return _concluded(measure, found, items=len(base), clusters=groups, sure=sure)


def figure_difference(
    measure: Measure,
    base: Floats,
    tuned: Floats,
    *,
    clusters: Sequence[int],
    statistic: Statistic,
) -> Difference | None:
    """Compare a figure of sums over items, such as F1 of counts; None for fewer than two clusters.

    Args:
        measure: What is measured.
        base: What each item adds, [items, counts].
        tuned: The same for the tuned model.
        clusters: Which items belong together, by number.
        statistic: Makes the figure of the sums, [..., counts] to [...].
    """
    import numpy as np

    before, after = _by_cluster(base, clusters), _by_cluster(tuned, clusters)
    groups = len(before)
    if groups < 2:
        return None
    drawn = _resampled(before, after, statistic)
    low, high = (float(end) for end in np.quantile(drawn, (0.025, 0.975)))
    found = _Found(
        float(statistic(before.sum(0))),
        float(statistic(after.sum(0))),
        (low, high),
        (Z95 + Z80) * float(drawn.std()) * math.sqrt(groups / (groups - 1)),
    )
    sure = _swapped(before, after, statistic)
    return _concluded(measure, found, items=len(base), clusters=groups, sure=sure)


@dataclass(frozen=True)
class _Found:
    base: float
    tuned: float
    interval: tuple[float, float]
    detectable: float


def _concluded(
    measure: Measure, found: _Found, *, items: int, clusters: int, sure: bool
) -> Difference:
    low, high = found.interval
    if not sure and (measure.bounded or clusters >= _FEWEST):
        low, high = min(low, 0.0), max(high, 0.0)
    detectable = found.detectable
    if measure.bounded:
        low, high = max(low, -1.0), min(high, 1.0)
        detectable = min(1.0, max(detectable, _FLIPS / clusters))
    return Difference(
        name=measure.name,
        unit=measure.unit,
        better=measure.better,
        base=found.base,
        tuned=found.tuned,
        low=low,
        high=high,
        detectable=detectable,
        items=items,
        clusters=clusters,
        verdict=conclude(low, high, measure.better),
    )


def conclude(low: float, high: float, better: Literal["lower", "higher"]) -> Verdict:
    """Give the verdict of an interval around tuned minus base."""
    if low <= 0 <= high:
        return "no detectable change"
    return "improved" if (low > 0) == (better == "higher") else "regressed"


def _by_cluster(values: Any, clusters: Sequence[int]) -> Floats:
    """Sum over the items of each cluster, [clusters, ...]."""
    import numpy as np

    given = np.asarray(values, dtype=float)
    _, which = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.zeros((int(which.max()) + 1, *given.shape[1:]))
    np.add.at(sums, which, given)
    return sums


def _clustered(residuals: Floats, total: float) -> float:
    """Give the clustered standard error of a ratio, with the usual correction for few clusters."""
    groups = len(residuals)
    return math.sqrt(groups / (groups - 1) * float((residuals**2).sum())) / total


def _ratio(sums: Floats) -> Floats:
    return sums[..., 0] / sums[..., 1]


def _resampled(before: Floats, after: Floats, statistic: Statistic) -> Floats:
    """Draw clusters with replacement; gives the difference of each draw."""
    import numpy as np

    return np.concatenate(
        [statistic(counts @ after) - statistic(counts @ before) for counts in _draws(len(before))]
    )


def _draws(groups: int) -> Iterator[Floats]:
    """Give how often each cluster is drawn, [draws, clusters], in parts."""
    for part, size in _parts(groups):
        yield _drawn(groups, part, size)


@lru_cache(maxsize=4)
def _drawn(groups: int, part: int, size: int) -> Floats:
    import numpy as np

    generator = np.random.default_rng((0, part))
    return generator.multinomial(groups, [1 / groups] * groups, size=size).astype(float)


@lru_cache(maxsize=4)
def _flipped(groups: int, part: int, size: int) -> Floats:
    import numpy as np

    return np.random.default_rng((1, part)).integers(0, 2, size=(size, groups)).astype(float)


def _parts(groups: int) -> Iterator[tuple[int, int]]:
    """Part the draws so that none takes much memory: number and size of each part."""
    most = max(1, _CHUNK // groups)
    for part, start in enumerate(range(0, DRAWS, most)):
        yield part, min(most, DRAWS - start)


def _swapped(before: Floats, after: Floats, statistic: Statistic) -> bool:
    """Say whether fewer than 5 % of all ways to swap base and tuned differ as much as they do."""
    import numpy as np

    change = after - before
    sums = before.sum(0), after.sum(0)
    seen = abs(float(statistic(sums[1]) - statistic(sums[0])))
    extreme = total = 0
    for swaps in _swaps(len(before)):
        moved = swaps @ change
        differences = statistic(sums[1] - moved) - statistic(sums[0] + moved)
        extreme += int((np.abs(differences) >= seen - 1e-12).sum())
        total += len(swaps)
    exact = len(before) <= _EXACT
    return (extreme if exact else extreme + 1) / (total if exact else total + 1) < 0.05


def _swaps(groups: int) -> Iterator[Floats]:
    """Give which clusters are swapped, [draws, clusters], all ways or many at random."""
    import numpy as np

    if groups <= _EXACT:
        ways = cast("NDArray[np.int64]", np.arange(2**groups))
        yield (ways[:, None] >> np.arange(groups) & 1).astype(float)
        return
    for part, size in _parts(groups):
        yield _flipped(groups, part, size)
