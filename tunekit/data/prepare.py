"""From a spec to its rows: read, recognised, checked, split, and summed up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from tunekit.data import estimate, sources
from tunekit.data.meaning import check
from tunekit.data.issues import Enough, Found, Issue, fold, require
from tunekit.data.profile import Profile
from tunekit.data.recognise import Recognised, recognise
from tunekit.data.rows import Row
from tunekit.data.sides import Split, split
from tunekit.errors import SpecError
from tunekit.spec.finetune import Data, FineTune
from tunekit.spec.objectives import Objective

TRAIN_ON: dict[str, tuple[str, ...]] = {
    "conversation": ("assistant", "completion", "all"),
    "completion": ("completion", "all"),
    "text": ("all",),
}
"""What `objective.train_on` can mean for a kind of row; the first is what "auto" becomes."""


@dataclass(frozen=True)
class Prepared:
    """The rows of both sides, and what a plan needs to know of them."""

    profile: Profile
    train: tuple[Row, ...]
    validation: tuple[Row, ...]


def prepare(spec: FineTune) -> Prepared:
    """Read and check all rows of a spec.

    Raises:
        DataError: rows are malformed; `.issues` says where.
        SpecError: the rows do not fit the objective.
        MissingExtra: reading this kind of source needs a package that is not installed.
    """
    issues = Found()
    format, rows = _rows(spec.data, issues)
    train_on = _fitting(spec, rows[0].kind)
    sides = _sides(spec, rows, issues)
    profile = _profile(spec, format, sides, issues, train_on=train_on)
    return Prepared(profile, sides.train, sides.validation)


def _rows(data: Data, issues: Found) -> tuple[str, list[Row]]:
    """Read one source whole.

    Raises:
        DataError: anything in it is wrong.
    """
    found = Recognised()
    try:
        recognise(sources.rows(data, issues), issues, wanted=data.format, into=found)
        for row in found.rows:
            for issue in check(row):
                issues.append(issue)
        if not found.rows and not issues:
            issues.append(_nothing(data))
    except Enough:
        pass
    require(issues)
    return found.format, found.rows


def _nothing(data: Data) -> Issue:
    return Issue(
        code="empty-file",
        file=sources.name(data),
        message="there are no rows",
        fix="give at least one row, such as {'prompt': '...', 'completion': '...'}",
    )


def _fitting(spec: FineTune, kind: str) -> str:
    """Check that the objective takes this kind of row; gives what is trained on.

    Raises:
        SpecError: it does not, or `train_on` means nothing for such rows.
    """
    objective, source = spec.objective, sources.name(spec.data)
    if kind not in objective.row_kinds:
        others = [other for other in _objectives() if kind in other.row_kinds]
        cure = (
            " or ".join(f"objective: {other.model_fields['type'].default}" for other in others)
            or "rows of another kind; no objective takes these"
        )
        raise SpecError(
            f"objective {objective.type} takes {_either(objective.row_kinds)} rows; "
            f"{source} holds {kind} rows: use {cure}"
        )
    wanted: str = getattr(objective, "train_on", "auto")
    possible = TRAIN_ON.get(kind, ("completion",))
    if wanted != "auto" and wanted not in possible:
        raise SpecError(
            f"objective.train_on: {wanted!r} means nothing for {kind} rows, which {source} holds; "
            f"use {' or '.join(map(repr, possible))}, or leave it at 'auto'"
        )
    return possible[0] if wanted == "auto" else wanted


def _objectives() -> Iterator[Any]:
    """Give every class that an objective can be."""
    return iter(get_args(get_args(Objective)[0]))


def _either(kinds: Iterable[str]) -> str:
    *most, last = [kind for kind in _ORDER if kind in kinds]
    return f"{', '.join(most)} or {last}" if most else last


_ORDER = ("conversation", "completion", "text", "preference", "judged")


def _sides(spec: FineTune, rows: Sequence[Row], issues: Found) -> Split:
    validation, seed = spec.validation, spec.training.seed
    if validation is None:
        return Split(tuple(rows), (), "none: validation is null")
    if isinstance(validation, float):
        return split(rows, seed=seed, share=validation)
    if isinstance(validation, Data):
        return _given(spec, validation, rows, issues)
    sides = split(rows, seed=seed)
    if not sides.validation:
        issues.append(_unmeasured(spec.data, sides.policy))
    return sides


def _given(spec: FineTune, source: Data, rows: Sequence[Row], issues: Found) -> Split:
    """Read held-out rows from a source of their own."""
    _, held = _rows(source, issues)
    name = sources.name(source)
    if held[0].kind != rows[0].kind:
        raise SpecError(
            f"validation: {name} holds {held[0].kind} rows, {sources.name(spec.data)} "
            f"{rows[0].kind} rows; both must be of one kind"
        )
    seen = {row.digest() for row in rows}
    leaked = [row for row in held if row.digest() in seen]
    if leaked:
        where = leaked[0].where
        issues.append(
            Issue(
                code="leaked-rows",
                severity="warning",
                file=where.file,
                line=where.line,
                message=f"{len(leaked)} of {len(held)} held-out rows are also trained on",
                fix="remove them from one side; the figures would be too good",
            )
        )
    return Split(tuple(rows), tuple(held), f"the {len(held)} row{'s' * (len(held) > 1)} of {name}")


def _unmeasured(data: Data, policy: str) -> Issue:
    return Issue(
        code="nothing-held-out",
        severity="warning",
        file=sources.name(data),
        message=policy.removeprefix("none: "),
        fix="give more rows, or a file for validation; without it nothing is measured",
    )


def _profile(
    spec: FineTune, format: str, sides: Split, issues: Sequence[Issue], *, train_on: str
) -> Profile:
    every = (*sides.train, *sides.validation)
    digest = hashlib.sha256("".join(row.digest() for row in every).encode())
    return Profile(
        source=sources.name(spec.data),
        format=format,
        kind=cast("Any", every[0].kind),
        rows=len(sides.train),
        validation_rows=len(sides.validation),
        validation_policy=sides.policy,
        tokens=sum(map(estimate.tokens, sides.train)),
        trained_tokens=sum(estimate.trained(row, train_on) for row in sides.train),
        longest=max(map(estimate.longest, every)),
        digest=digest.hexdigest(),
        issues=fold(issues),
    )
