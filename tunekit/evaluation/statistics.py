"""How far a figure measured on few items can be trusted."""

from __future__ import annotations

import math
from statistics import NormalDist

Z95 = 1.959963984540054
"""97.5th percentile of the normal distribution."""
Z80 = 0.8416212335729143
"""80th percentile: an effect of `Z95 + Z80` standard errors is found in 80 of 100 evaluations."""


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


def student(freedom: int, share: float = 0.975) -> float:
    """Give a quantile of Student's t; of 3 degrees of freedom and more within 0.3 %.

    Cornish and Fisher's expansion (Abramowitz and Stegun 1964, 26.7.5); 1 and 2 degrees have a
    closed form.
    """
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) / math.sqrt(2 * share * (1 - share))
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, start=1))
