"""Whether a rank fits what was learnt, read off the spectrum of the adapter.

In simulations of a teacher of known rank k and a student of rank r, the effective rank of the
update is 0.94 to 1.00 of r where r < k, and 99 % of its energy lies in k directions where r is
larger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

from tunekit.evaluation.verdict import Rank, Spectrum

_FULL = 0.9
"""Effective rank over rank from which every direction is used."""
_TAIL = 0.3
"""Smallest over largest singular value from which the last direction matters like the others."""
_ENERGY = 0.99


def rank(singular: Mapping[str, Sequence[float]]) -> Rank | None:
    """Judge the singular values of every layer's update; None where there are none."""
    spectra = tuple(spectrum(layer, values) for layer, values in singular.items())
    trained = [found for found in spectra if found.values and found.values[0] > 0]
    if not trained:
        return None
    highest = max(found.rank for found in trained)
    full = median(found.effective / found.rank for found in trained)
    tail = median(found.values[-1] / found.values[0] for found in trained)
    needed = sorted(found.energy for found in trained)[math.ceil(0.9 * len(trained)) - 1]
    wide = median(found.energy / found.rank for found in trained)
    if full > _FULL and tail > _TAIL:
        return Rank(
            spectra=spectra,
            verdict="too small",
            suggested=2 * highest,
            advice=(f"method.rank: {2 * highest}; every direction of the adapter is in use",),
        )
    less = 2 ** math.ceil(math.log2(needed))
    if wide <= 0.5 and less < highest:
        return Rank(
            spectra=spectra,
            verdict="too large",
            suggested=less,
            advice=(
                f"method.rank: {less}; 99 % of what was learnt lies in {needed} directions or "
                f"fewer, and adapter.truncate({less}, FOLDER) keeps it",
            ),
        )
    return Rank(spectra=spectra, verdict="fine", suggested=highest)


def spectrum(layer: str, values: Sequence[float]) -> Spectrum:
    """Describe the singular values of one layer, the largest first."""
    squares = [value * value for value in values]
    total = sum(squares)
    shares = [square / total for square in squares if square > 0] if total else []
    held, count = 0.0, 0
    while total and held < _ENERGY * total and count < len(squares):
        held += squares[count]
        count += 1
    return Spectrum(
        layer=layer,
        rank=len(values),
        values=tuple(values),
        effective=math.exp(-sum(part * math.log(part) for part in shares)) if shares else 0.0,
        energy=count,
    )
