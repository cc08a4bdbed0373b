"""From a spec to its rows: read, recognised, checked, split, and summed up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from tunekit.data import estimate, replay, sources
from tunekit.data.dropped import Dropped, counts, words
from tunekit.data.issues import Enough, Found, Issue, fold, require, weighed
from tunekit.data.meaning import check
from tunekit.data.profile import Profile
from tunekit.data.quality.catalogue import require_known
from tunekit.data.quality.quality import Quality
from tunekit.data.recognise import Recognised, recognise
from tunekit.data.rows import Judged, Row, said_weight, weight
from tunekit.data.sides import Split, split
from tunekit.errors import SpecError
from tunekit.spec.finetune import Data, FineTune
from tunekit.spec.objectives import SFT, Objective

TRAIN_ON: dict[str, tuple[str, ...]] = {
    "conversation": ("assistant", "completion", "all"),
    "completion": ("completion", "all"),
    "text": ("all",),
}
"""What `objective.train_on` can mean for a kind of row; the first is what "auto" becomes."""


PLANNED = 3
"""Findings of one code that a plan names; the others are counted."""


@dataclass(frozen=True)
class Prepared:
    """The rows of both sides, and what a plan needs to know of them."""

    profile: Profile
    train: tuple[Row, ...]
    validation: tuple[Row, ...]
    dropped: tuple[Dropped, ...] = ()
    """What the spec says to leave out, of both sources: rows read are these and the other two."""
    issues: tuple[Issue, ...] = ()
    """Every finding that stops nothing; the profile has the first of each code."""


@dataclass(frozen=True)
class _Read:
    """One source, read whole."""

    format: str
    rows: list[Row]
    dropped: list[Dropped]


def prepare(spec: FineTune) -> Prepared:
    """Read and check all rows of a spec.

    Raises:
        DataError: rows are malformed, or a check of quality that stops a run has failed;
            `.issues` says where.
        SpecError: the rows do not fit the objective, or a code in `data` is unknown.
        MissingExtra: reading this kind of source needs a package that is not installed.
    """
    issues = Found()
    prompts = "prompt" in spec.objective.row_kinds
    read = _rows(spec.data, issues, prompts=prompts)
    train_on = _fitting(spec, read.rows[0].kind)
    held = _held(spec, read.rows[0].kind, issues)
    read, held = _examined(spec, read, held, issues)
    sides = _mixed(spec, _sides(spec, read.rows, held, issues))
    dropped = (*read.dropped, *(held.dropped if held else ()))
    profile = _profile(spec, read.format, sides, issues, train_on=train_on)
    return Prepared(
        profile.model_copy(update={"dropped": counts(dropped)}),
        sides.train,
        sides.validation,
        dropped,
        tuple(issues),
    )


def _rows(data: Data, issues: Found, *, prompts: bool) -> _Read:
    """Read one source whole; its warnings go to `issues`.

    With `prompts`, a row with a prompt and columns of its own is one that answers are written to.

    Raises:
        DataError: anything in it is wrong.
    """
    require_known(data.checks, data.drop)
    found, own = Recognised(), Found(checks=data.checks, drop=data.drop)
    rows: list[Row] = []
    dropped: list[Dropped] = []
    try:
        raws = sources.rows(data, own)
        recognise(raws, own, wanted=data.format, into=found, prompts=prompts)
        dropped += map(Dropped.by, own.dropped)
        for row in found.rows:
            if (cause := _sound(row, own)) is None:
                rows.append(row)
            else:
                dropped.append(Dropped.by(cause, row))
        if not rows and not own:
            own.append(_nothing(data, dropped))
    except Enough:
        pass
    require(own)
    issues.extend(own)
    return _Read(found.format, rows, dropped)


def _sound(row: Row, issues: Found) -> Issue | None:
    """Check one row; gives the finding that it is dropped for."""
    before = len(issues.dropped)
    for issue in check(row):
        issues.append(weighed(issue, issues.checks))
    return issues.dropped[before] if len(issues.dropped) > before else None


def _examined(
    spec: FineTune, read: _Read, held: _Read | None, issues: Found
) -> tuple[_Read, _Read | None]:
    """Check the quality of both sources; gives them without the rows that the spec drops.

    Raises:
        DataError: a finding stops the run.
    """
    quality = Quality(spec.data.checks, kept=None, held_out=held is not None)
    for row in read.rows:
        quality.add(row)
    for row in held.rows if held else ():
        quality.held(row)
    found = quality.close()
    issues.extend(issue for issue in found if issue.code not in spec.data.drop)
    require(issues)
    return _without(read, found, spec.data), held and _without(held, found, spec.data)


def _without(read: _Read, found: Sequence[Issue], data: Data) -> _Read:
    """Leave out the rows that a finding of quality costs."""
    causes = {(i.file, i.line): i for i in reversed(found) if i.code in data.drop and i.line}
    out = [(row, causes.get((row.where.file, row.where.line))) for row in read.rows]
    rows = [row for row, cause in out if cause is None]
    dropped = [Dropped.by(cause, row) for row, cause in out if cause is not None]
    if not rows:
        require([_nothing(data, dropped)])
    return _Read(read.format, rows, [*read.dropped, *dropped])


def _nothing(data: Data, dropped: Sequence[Dropped]) -> Issue:
    return Issue(
        code="empty-file",
        file=sources.name(data),
        message=f"no rows are left: {words(counts(dropped))}" if dropped else "there are no rows",
        fix="drop less, or mend the rows"
        if dropped
        else "give at least one row, such as {'prompt': '...', 'completion': '...'}",
    )


def _fitting(spec: FineTune, kind: str) -> str:
    """Check that the objective takes this kind of row; gives what is trained on.

    Raises:
        SpecError: it does not, or `train_on` means nothing for such rows.
    """
    objective, source = spec.objective, sources.name(spec.data)
    if kind not in objective.row_kinds:
        others = [o.model_fields["type"].default for o in _objectives() if kind in o.row_kinds]
        raise SpecError(
            f"objective {objective.type} takes {_either(objective.row_kinds)} rows; "
            f"{source} holds {kind} rows: use objective: {_listed(others)}"
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
    return _listed([kind for kind in _ORDER if kind in kinds])


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


_ORDER = ("conversation", "completion", "text", "preference", "judged", "prompt")


def _held(spec: FineTune, kind: str, issues: Found) -> _Read | None:
    """Read held-out rows from a source of their own, where the spec names one."""
    if not isinstance(spec.validation, Data):
        return None
    read = _rows(spec.validation, issues, prompts=kind == "prompt")
    if read.rows[0].kind != kind:
        raise SpecError(
            f"validation: {sources.name(spec.validation)} holds {read.rows[0].kind} rows, "
            f"{sources.name(spec.data)} {kind} rows; both must be of one kind"
        )
    return read


def _sides(spec: FineTune, rows: Sequence[Row], held: _Read | None, issues: Found) -> Split:
    validation, seed = spec.validation, spec.training.seed
    if validation is None:
        return Split(tuple(rows), (), "none: validation is null")
    if isinstance(validation, float):
        return split(rows, seed=seed, share=validation)
    if isinstance(validation, Data) and held is not None:
        count, name = len(held.rows), sources.name(validation)
        return Split(tuple(rows), tuple(held.rows), f"the {count} row{'s' * (count > 1)} of {name}")
    sides = split(rows, seed=seed)
    if not sides.validation:
        issues.append(_unmeasured(spec.data, sides.policy))
    return sides


def _mixed(spec: FineTune, sides: Split) -> Split:
    """Mix general chats into the training rows, where answers are imitated."""
    wanted = spec.training.replay
    if wanted is None or wanted.source != "general" or not isinstance(spec.objective, SFT):
        return sides
    return replace(sides, train=replay.mixed(sides.train, wanted.ratio))


def _unmeasured(data: Data, policy: str) -> Issue:
    return Issue(
        code="nothing-held-out",
        severity="warning",
        file=sources.name(data),
        message=policy.removeprefix("none: "),
        fix="give more rows, or a file for validation; without it nothing is measured",
    )


def _unweighted(rows: Sequence[Row]) -> str:
    """Name the first row without a weight, where another weighs more or less than 1."""
    if all(weight(row) == 1 for row in rows):
        return ""
    return next((str(row.where) for row in rows if said_weight(row) is None), "")


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
        replayed=sum(row.where.file == replay.FILE for row in sides.train),
        validation_rows=len(sides.validation),
        validation_policy=sides.policy,
        tokens=sum(map(estimate.tokens, sides.train)),
        trained_tokens=sum(estimate.trained(row, train_on) for row in sides.train),
        longest=max(map(estimate.longest, every)),
        digest=digest.hexdigest(),
        weighted=sum(weight(row) != 1 for row in sides.train),
        held_weighted=sum(weight(row) != 1 for row in sides.validation),
        unweighted=_unweighted(every),
        wanted=sum(isinstance(row, Judged) and row.label for row in sides.train),
        issues=fold(issues, shown=PLANNED),
    )
