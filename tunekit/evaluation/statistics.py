"""How far a share measured on few items can be trusted."""

from __future__ import annotations

import math

Z95 = 1.959963984540054
"""97.5th percentile of the normal distribution."""


def wilson(successes: int, count: int, *, z: float = Z95) -> tuple[float, float]:
    """Give the Wilson score interval of a proportion (Wilson 1927); 95 % unless `z` says other.

    Raises:
        ValueError: `successes` does not lie between 0 and a positive `count`.
    """
    if not 0 <= successes <= count or count == 0:
        raise ValueError(f"{successes} of {count} is no proportion")
    share = successes / count
    shrink = 1 + z * z / count
    middle = (share + z * z / (2 * count)) / shrink
    reach = z / shrink * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    # At the ends rounding would leave a trace of 1e-17.
    low = 0.0 if successes == 0 else middle - reach
    return low, 1.0 if successes == count else middle + reach
