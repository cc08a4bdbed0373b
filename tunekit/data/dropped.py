"""Rows that were left out because the spec says so, each with its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tunekit.data.issues import Issue
from tunekit.data.rows import Row
from tunekit.files import write_atomic


class Dropped(BaseModel):
    """One row that is not trained on, and why."""

    model_config = ConfigDict(frozen=True)

    file: str
    line: int
    code: str
    """The code named in `data.drop`."""
    reason: str
    row: dict[str, Any] | None = None
    """The row as it was understood; None when it could not be read."""

    @classmethod
    def by(cls, issue: Issue, row: Row | None = None) -> Dropped:
        """Drop a row for one finding."""
        held = None if row is None else json.loads(row.json_line())
        return cls(
            file=issue.file, line=issue.line, code=issue.code, reason=issue.message, row=held
        )


def counts(rows: Iterable[Dropped]) -> dict[str, int]:
    """Count rows by the code they were dropped for, the most frequent first."""
    return dict(Counter(row.code for row in rows).most_common())


def words(counted: dict[str, int]) -> str:
    """Say how many rows were dropped and for what, or nothing."""
    if not counted:
        return ""
    total = sum(counted.values())
    listed = ", ".join(f"{code} {count:,}" for code, count in counted.items())
    return f"{total:,} row{'s' * (total > 1)} dropped, as data.drop says ({listed})"


def add(rows: Sequence[Dropped], path: Path) -> None:
    """Add rows to a file of one JSON object a line; a row that is in it already is not added again.

    A run that is resumed finds the same rows again.
    """
    before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    lines = dict.fromkeys((*before, *(row.model_dump_json() for row in rows)))
    write_atomic(path, "".join(f"{line}\n" for line in lines))


def read(path: Path) -> list[Dropped]:
    """Read what `add` wrote."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Dropped.model_validate_json(line) for line in lines]
