"""One source written in another form, with all that the form cannot hold told."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict

from tunekit.data import sources
from tunekit.data.issues import Fault, Found, Issue, require
from tunekit.data.json_text import as_list, as_object
from tunekit.data.native import TARGETS
from tunekit.data.recognise import Recognised, recognise, stream
from tunekit.data.rows import Row
from tunekit.errors import SpecError
from tunekit.files import sha256
from tunekit.spec.finetune import Data


class Converted(BaseModel):
    """What was written, and what was lost."""

    model_config = ConfigDict(frozen=True)

    path: Path
    rows: int
    sha256: str
    lost: tuple[Issue, ...] = ()
    """What the form cannot hold: fields that are gone, rows that were left out."""

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.rows:,} rows"]
        return "\n".join([*lines, *map(str, self.lost[:20])])


def convert(
    source: Data | str | Any, target: str, into: str | Path, *, lossy: bool = False
) -> Converted:
    """Write a source as JSONL in the form of `target`; the file appears whole or not at all.

    Every row is read back before it is written, so nothing is lost unseen.

    Args:
        source: what `FineTune(data=...)` takes.
        target: a key of `native.TARGETS`.
        into: the file; it must not exist.
        lossy: go on where the form cannot hold something, and say what in `lost`.

    Raises:
        DataError: rows are malformed; or something would be lost, and `lossy` is false.
        SpecError: there is no such target, or the file exists.
    """
    if target not in TARGETS:
        raise SpecError(f"there is no target {target!r}; there are {', '.join(TARGETS)}")
    path = Path(into)
    if path.exists():
        raise SpecError(f"{path} exists; name another file, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    data, issues, lost = Data.of(source), Found(), list[Issue]()
    part, even = (path.with_name(f".{path.name}.{end}") for end in ("part", "even"))
    try:
        with part.open("wb") as file:
            written = _write(data, target, file, issues, lost)
        require(issues)
        if lost and not lossy:
            require([issue.model_copy(update={"severity": "error"}) for issue in lost])
        if target in _ALL_WEIGHED and 0 < written.weighted < written.rows:
            _weigh_all(part, even)
        part.replace(path)
    finally:
        for left in (part, even):
            with contextlib.suppress(OSError):
                left.unlink()
    return Converted(path=path, rows=written.rows, sha256=sha256(path), lost=tuple(lost))


_ALL_WEIGHED = ("fireworks",)
"""Targets that take a weight on all rows or on none."""


@dataclass
class _Written:
    rows: int = 0
    weighted: int = 0
    """Rows with a weight beside them."""


def _write(data: Data, target: str, file: IO[bytes], issues: Found, lost: list[Issue]) -> _Written:
    count = _Written()
    rows = stream(sources.rows(data, issues), issues, wanted=data.format, into=Recognised())
    for row in rows:
        try:
            native = TARGETS[target](row)
        except Fault as fault:
            lost.append(fault.at(row.where.file, row.where.line, severity="warning"))
            continue
        lost += losses(row, native, target)
        file.write(_line(native))
        count.rows += 1
        count.weighted += "weight" in native
    return count


def _line(native: dict[str, Any]) -> bytes:
    return json.dumps(native, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _weigh_all(file: Path, even: Path) -> None:
    """Write the weight 1 beside every row that has none."""
    with file.open("rb") as before, even.open("wb") as after:
        for line in before:
            row = json.loads(line)
            after.write(_line({**row, "weight": row.get("weight", 1.0)}))
    even.replace(file)


def losses(row: Row, native: dict[str, Any], target: str) -> Iterator[Issue]:
    """Read a written row back, and name every field that is not what it was."""
    wanted = row.kind if row.kind in ("prompt",) else "auto"
    back = recognise([(native, row.where)], [], wanted=wanted).rows
    before = _leaves(row)
    after = _leaves(back[0]) if back else {}
    changed = [place for place, held in before.items() if after.get(place) != held]
    if changed or before.keys() != after.keys():
        named = ", ".join((changed or sorted(after.keys() - before.keys()))[:3])
        yield Issue(
            code="lost-in-conversion",
            severity="warning",
            file=row.where.file,
            line=row.where.line,
            message=f"{target} cannot hold {named} as it is",
            fix="go on without it: convert(..., lossy=True), or --lossy",
        )


def _leaves(row: Row) -> dict[str, Any]:
    """Give every value of a row under its path; calls by what they mean, not how they are written.

    The weight 1 is what a turn and a row have anyway.
    """
    found: dict[str, Any] = {}
    _walk(row.model_dump(mode="json", exclude_none=True, exclude={"where"}), "", found)
    return {place: held for place, held in found.items() if not _is_usual(place, held)}


def _is_usual(place: str, held: Any) -> bool:
    return place.rpartition(".")[2] == "weight" and held == 1


def _walk(held: Any, place: str, found: dict[str, Any]) -> None:
    inner, items = as_object(held), as_list(held)
    if inner is not None:
        for key, value in inner.items():
            _walk(value, f"{place}.{key}" if place else key, found)
    elif items is not None:
        for index, value in enumerate(items):
            _walk(value, f"{place}[{index}]", found)
    else:
        found[place] = json.loads(held) if place.endswith(".arguments") else held
