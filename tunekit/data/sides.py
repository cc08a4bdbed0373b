"""Training rows and held-out rows, told apart by what they say."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tunekit.data.rows import Row
from tunekit.errors import SpecError


@dataclass(frozen=True)
class Split:
    """Both sides, in the order the rows came, and the reason in words."""

    train: tuple[Row, ...]
    validation: tuple[Row, ...]
    policy: str


def policy_size(rows: int) -> int:
    """Give the number of rows to hold out of so many.

    None under 20; then a fifth, from 100 on a tenth (at least 20), from 1000 on a twentieth
    (at least 100), from 10 000 on a fiftieth (at most 1000).
    """
    if rows < 20:
        return 0
    if rows < 100:
        return rows // 5
    if rows < 1000:
        return max(20, rows // 10)
    if rows <= 10_000:
        return max(100, rows // 20)
    return min(1000, rows // 50)


def split(rows: Sequence[Row], *, seed: int, share: float | None = None) -> Split:
    """Hold out a share of the rows, or as many as the policy says.

    Equal rows land on the same side. Which side depends on the row, the seed and the other rows,
    and not on their order.

    Raises:
        SpecError: a share that was asked for leaves one side empty.
    """
    # The bit more keeps 0.29 of 100 rows at 29: the product is 28.999999999999996.
    size = policy_size(len(rows)) if share is None else math.floor(len(rows) * share + 1e-9)
    digests = [row.digest() for row in rows]
    held = _held(Counter(digests), seed, size)
    pairs = list(zip(rows, digests, strict=True))
    validation = tuple(row for row, digest in pairs if digest in held)
    if share is not None and not validation:
        raise SpecError(_nothing_held(len(rows), share))
    train = tuple(row for row, digest in pairs if digest not in held)
    return Split(train, validation, _words(len(rows), len(validation), seed, share))


def _held(counts: Counter[str], seed: int, size: int) -> frozenset[str]:
    """Pick groups of equal rows in the order of their salted hash, and never more than `size`."""
    held: set[str] = set()
    room = size
    for digest in sorted(counts, key=lambda digest: _rank(digest, seed)):
        if counts[digest] <= room:
            held.add(digest)
            room -= counts[digest]
        if room == 0:
            break
    return frozenset(held)


def _rank(digest: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{digest}".encode()).hexdigest()


def _words(rows: int, held: int, seed: int, share: float | None) -> str:
    if share is not None:
        return f"{share:g} of {rows} rows ({held}) by content hash, seed {seed}"
    if held:
        return f"{held} of {rows} rows ({held / rows:.0%}) by content hash, seed {seed}"
    if rows < 20:
        return f"none: {rows} rows are too few to hold any out (fewer than 20)"
    return f"none: the {rows} rows are too much alike to hold any out"


def _nothing_held(rows: int, share: float) -> str:
    if math.floor(rows * share + 1e-9):
        return (
            f"validation: {share:g} of {rows} rows leaves nothing, for equal rows stay together "
            "and these repeat too often; name a file of its own, or set validation: null"
        )
    if rows < 2:
        return f"validation: {rows} row cannot be split; set validation: null"
    needed = math.ceil(100 / rows) / 100
    return (
        f"validation: {share:g} of {rows} rows is less than one row; "
        f"use at least {needed:g}, or null"
    )
