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
MOST = 1000
"""Rows to hold out at most: more of them tell little more."""
SPREAD = 0.5
"""Part of the share that chance may hold out more or fewer."""


@dataclass(frozen=True)
class Split:
    """Both sides, in the order the rows came, and the reason in words."""

    train: tuple[Row, ...]
    validation: tuple[Row, ...]
    policy: str


def policy_share(rows: int) -> float:
    """Give the share of so many rows to hold out.

    None under 20; then a fifth, from 200 rows on a tenth, from 2,000 on a twentieth, above 10,000 a
    fiftieth, and half of that again for every doubling of 50,000: at least 20 rows of 200, and 500
    to 1,000 of more than 50,000.
    """
    if rows < 20:
        return 0.0
    if rows < 200:
        return 1 / 5
    if rows < 2000:
        return 1 / 10
    if rows <= 10_000:
        return 1 / 20
    share = 1 / 50
    while rows * share > MOST:
        share /= 2
    return share


def split(rows: Sequence[Row], *, seed: int, share: float | None = None) -> Split:
    """Hold out a share of the rows, or the share that the policy says.

    A row is held out when a number made of what it says and the seed is below the share. So its
    side is the same on every machine and in every order, and stays when rows are added; and how
    many are held out is the share within chance, of which the standard deviation is the root of
    rows x share x (1 - share). Equal rows and near copies have one number.

    Only these hang on the other rows: where chance would hold out less than half or more than one
    and a half times the share, the rows nearest to it are taken (of fewer than 300 rows, hardly
    ever of more); a label, where answers are few labels, has at least one row held out; copies that
    are more than what is to be held out are trained on; and near copies that are more than half
    of the data are not kept together.

    Raises:
        SpecError: a share that was asked for leaves one side empty.
    """
    wanted = policy_share(len(rows)) if share is None else share
    # The bit more keeps 0.29 of 100 rows at 29: the product is 28.999999999999996.
    size = math.floor(len(rows) * wanted + 1e-9)
    fitting = [group for group in _groups(rows, size, seed) if len(group.members) <= size]
    held = {index for group in _held(rows, fitting, wanted) for index in group.members}
    validation = tuple(row for index, row in enumerate(rows) if index in held)
    if share is not None and not validation:
        raise SpecError(_nothing_held(len(rows), share))
    train = tuple(row for index, row in enumerate(rows) if index not in held)
    return Split(train, validation, _words(len(rows), len(validation), seed, share))


@dataclass(frozen=True)
class _Group:
    """Rows that stay together, and the number that decides their side, from 0 to 1."""

    members: tuple[int, ...]
    lot: float


def _groups(rows: Sequence[Row], size: int, seed: int) -> list[_Group]:
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
        _Group(tuple(members), _lot(min(digests[index] for index in members), seed))
        for members in found.values()
    ]


def _strata(rows: Sequence[Row], groups: Sequence[_Group]) -> Iterator[list[_Group]]:
    """Give the groups of each label; all of them at once where the answers are no labels."""
    labels = [_label(rows[group.members[0]]) for group in groups]
    counts = Counter(labels)
    if len(counts) > LABELS or min(counts.values(), default=0) < PER_LABEL:
        yield list(groups)
        return
    for label in sorted(counts):
        yield [group for own, group in zip(labels, groups, strict=True) if own == label]


def _label(row: Row) -> str:
    """Give the verdict, or the answer as a label."""
    return str(row.label) if isinstance(row, Judged) else normalised(answered(row))[:80]


def _held(rows: Sequence[Row], groups: Sequence[_Group], share: float) -> Sequence[_Group]:
    """Pick the groups below the share, and as few others as the bounds ask for."""
    first = {min(stratum, key=_by_lot) for stratum in _strata(rows, groups) if stratum}
    ordered = sorted(groups, key=lambda group: (group not in first, group.lot))
    least, most = (math.floor(len(rows) * share * part + 1e-9) for part in (1 - SPREAD, 1 + SPREAD))
    most = min(most, len(rows) - 1)
    held: list[_Group] = []
    count = 0
    for group in ordered:
        wanted = group.lot < share or count < least or group in first
        if wanted and count + len(group.members) <= most:
            held.append(group)
            count += len(group.members)
    return held


def _by_lot(group: _Group) -> float:
    return group.lot


def _lot(digest: str, seed: int) -> float:
    return int(hashlib.sha256(f"{seed}:{digest}".encode()).hexdigest()[:13], 16) / 16**13


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
