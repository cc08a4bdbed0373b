"""Training rows and held-out rows, told apart by what they say."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunekit.data.near import Near, normalised
from tunekit.data.rows import Judged, Row
from tunekit.data.words import answered, own
from tunekit.errors import SpecError

LABELS, PER_LABEL = 20, 5
"""So few different answers, each given so often, are labels."""


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

    Equal rows and near copies land on the same side; where the answers are few labels, each label
    gives its share. The order in which groups are taken is a hash of what they say and the seed,
    so it is the same on every machine and does not change when rows are added or moved.

    Raises:
        SpecError: a share that was asked for leaves one side empty.
    """
    # The bit more keeps 0.29 of 100 rows at 29: the product is 28.999999999999996.
    size = policy_size(len(rows)) if share is None else math.floor(len(rows) * share + 1e-9)
    groups = _groups(rows, size)
    held = {
        index
        for stratum, quota in _strata(rows, groups, size)
        for index in _held(stratum, seed, quota)
    }
    validation = tuple(row for index, row in enumerate(rows) if index in held)
    if share is not None and not validation:
        raise SpecError(_nothing_held(len(rows), share))
    train = tuple(row for index, row in enumerate(rows) if index not in held)
    return Split(train, validation, _words(len(rows), len(validation), seed, share))


@dataclass(frozen=True)
class _Group:
    """Rows that stay together, and the smallest hash of what they say."""

    members: tuple[int, ...]
    digest: str


def _groups(rows: Sequence[Row], size: int) -> list[_Group]:
    """Tie equal rows, and near copies unless these are most of the data."""
    digests = [row.digest() for row in rows]
    found: dict[str, list[int]] = {}
    for index, digest in enumerate(digests):
        found.setdefault(digest, []).append(index)
    first = {members[0]: digest for digest, members in found.items()}
    if size:
        near = Near()
        at = [index for index in first if near.add(own(rows[index])) >= 0]
        for cluster in near.clusters():
            if len(cluster) * 2 <= len(first):
                leader, *others = (first[at[member]] for member in cluster)
                for other in others:
                    found[leader] += found.pop(other)
    return [
        _Group(tuple(members), min(digests[index] for index in members))
        for members in found.values()
    ]


def _strata(
    rows: Sequence[Row], groups: Sequence[_Group], size: int
) -> Iterator[tuple[list[_Group], int]]:
    """Give the groups of each label with the number of rows to hold out of them."""
    labels = [_label(rows[group.members[0]]) for group in groups]
    counts = Counter(labels)
    if len(counts) > LABELS or min(counts.values(), default=0) < PER_LABEL:
        yield list(groups), size
        return
    parts: dict[str, list[_Group]] = {}
    for label, group in zip(labels, groups, strict=True):
        parts.setdefault(label, []).append(group)
    given, passed = 0, 0
    for label in sorted(parts):
        passed += sum(len(group.members) for group in parts[label])
        quota = round(size * passed / len(rows)) - given
        given += quota
        yield parts[label], quota


def _label(row: Row) -> str:
    """Give the verdict, or the answer as a label."""
    return str(row.label) if isinstance(row, Judged) else normalised(answered(row))[:80]


def _held(groups: Sequence[_Group], seed: int, size: int) -> Iterator[int]:
    """Pick groups in the order of their salted hash, and never more than `size` rows."""
    room = size
    for group in sorted(groups, key=lambda group: _rank(group.digest, seed)):
        if len(group.members) <= room:
            yield from group.members
            room -= len(group.members)
        if room == 0:
            return


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
