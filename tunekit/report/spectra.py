"""How many directions an adapter really uses, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median

from tunekit.evaluation.verdict import Rank, Spectrum
from tunekit.report.chart import Line
from tunekit.report.series import Point

_NUMBER = re.compile(r"\.(\d+)\.")


def decay(rank: Rank) -> list[Line]:
    """Give the singular values as shares of the largest: the median layer and the two extremes."""
    shares = [
        [value / spectrum.values[0] for value in spectrum.values]
        for spectrum in rank.spectra
        if spectrum.values and spectrum.values[0] > 0
    ]
    if not shares:
        return []
    by_place = [[share[at] for share in shares if len(share) > at] for at in range(_most(shares))]
    ways = (("flattest", max, 2), ("median", median, 0), ("steepest", min, 1))
    return [
        Line(name, [(at + 1.0, float(way(values))) for at, values in enumerate(by_place)], colour)
        for name, way, colour in ways
    ]


def used(rank: Rank) -> list[Line]:
    """Give the effective rank over the layers of the model, a line for each kind of matrix."""
    lines: dict[str, list[Point]] = {}
    for at, spectrum in enumerate(rank.spectra):
        found = _NUMBER.search(f"{spectrum.layer}.")
        place = float(found[1]) if found else float(at)
        lines.setdefault(kind(spectrum), []).append((place, spectrum.effective))
    return [Line(name, sorted(points), n) for n, (name, points) in enumerate(sorted(lines.items()))]


def extremes(rank: Rank, count: int = 3) -> tuple[list[Spectrum], list[Spectrum]]:
    """Give the layers that use most of their rank, and those that use least."""
    ordered = sorted(rank.spectra, key=lambda each: -each.effective / max(1, each.rank))
    if len(ordered) <= 2 * count:
        return ordered, []
    return ordered[:count], ordered[-count:]


def kind(spectrum: Spectrum) -> str:
    """Give the kind of a matrix: the last part of the layer's name."""
    return spectrum.layer.rpartition(".")[2]


def _most(shares: Sequence[Sequence[float]]) -> int:
    return max(map(len, shares))
