"""Answers that are labels: how often each is right, and what it is taken for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunekit.evaluation.labels import Confusion


@dataclass(frozen=True)
class Label:
    """One label of the references."""

    name: str
    count: int
    base: float
    """Share that the base answers right."""
    tuned: float
    mistake: str = ""
    """What the tuned model answers most often instead."""
    mistakes: int = 0


def by_label(confusion: Confusion) -> list[Label]:
    """Read a table of confusions row by row; labels that no item has are left out."""
    rows = zip(confusion.labels, confusion.base, confusion.tuned, strict=False)
    return [
        Label(name, sum(tuned), _share(base, at), _share(tuned, at), *_mistake(confusion, at))
        for at, (name, base, tuned) in enumerate(rows)
        if sum(tuned)
    ]


def _share(row: Sequence[int], at: int) -> float:
    return row[at] / (sum(row) or 1)


def _mistake(confusion: Confusion, at: int) -> tuple[str, int]:
    others = [(count, n) for n, count in enumerate(confusion.tuned[at]) if n != at and count]
    if not others:
        return "", 0
    count, number = max(others, key=lambda other: other[0])
    return confusion.labels[number], count
