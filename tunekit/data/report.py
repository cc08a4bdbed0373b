"""What is wrong with a source of any size, found in one pass and without keeping its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict

from tunekit.data import sources
from tunekit.data.issues import SHOWN, Issue, weighed
from tunekit.data.meaning import check as check_meaning
from tunekit.data.quality.catalogue import require_known
from tunekit.data.quality.quality import Quality
from tunekit.data.recognise import Recognised, stream
from tunekit.files import sha256
from tunekit.spec.finetune import Data, Severity


class Report(BaseModel):
    """What a source holds, and what is wrong with it."""

    model_config = ConfigDict(frozen=True)

    source: str
    format: str
    kind: str
    rows: int
    """Rows that can be read."""
    sha256: dict[str, str]
    """Hash of each file, by its name."""
    counts: dict[str, int]
    """Findings by code, the most frequent first; these are all of them."""
    severities: dict[str, Severity]
    """What each code is worth in this source."""
    issues: tuple[Issue, ...]
    """The first ones, errors before warnings; `issues.jsonl` has all, if it was asked for."""

    @property
    def ok(self) -> bool:
        """Whether a run would take this source."""
        return "error" not in self.severities.values()

    def __str__(self) -> str:
        what = f"{self.rows:,} {self.kind} rows, read as {self.format}" if self.rows else "no rows"
        lines = [f"{self.source}: {what}"]
        for code, count in self.counts.items():
            lines.append(f"  {self.severities[code]:8} {code:26} {count:>9,}")
        lines += ["", *map(str, self.issues)] if self.issues else ["  nothing is wrong"]
        hidden = sum(self.counts.values()) - len(self.issues)
        if hidden > 0:
            lines.append(f"... and {hidden:,} more")
        return "\n".join(lines)


class Tally(list[Issue]):
    """Counts all issues, keeps the first of each code, and writes every one to a file."""

    def __init__(self, file: IO[str] | None, checks: Mapping[str, Severity]) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.severities: dict[str, Severity] = {}
        self._file = file
        self._checks = checks

    def append(self, issue: Issue) -> None:
        """Take one, with the severity that the spec gives it."""
        issue = issue if issue.severity == "error" else weighed(issue, self._checks)
        if issue.severity == "off":
            return
        self.counts[issue.code] += 1
        self.severities[issue.code] = issue.severity
        if self.counts[issue.code] <= SHOWN:
            super().append(issue)
        if self._file is not None:
            self._file.write(issue.model_dump_json() + "\n")


def check(
    source: Data | str | Any,
    *,
    validation: Data | str | Any = None,
    issues: str | Path | None = None,
    quality: bool = True,
) -> Report:
    """Look at every row of a source once, and say all that is wrong.

    Bad data raises nothing here: it is what the report is about.

    Args:
        source: what `FineTune(data=...)` takes.
        validation: held-out rows, to find those that are also trained on.
        issues: a file that gets every finding, one JSON object a line.
        quality: also look for copies, secrets and the like, and not only at the form.

    Raises:
        DataError: there is no such file.
        SpecError: a code in `checks` is unknown.
        MissingExtra: reading this kind of source needs a package that is not installed.
    """
    data = Data.of(source)
    require_known(data.checks, data.drop)
    if issues is None:
        return _report(data, validation, None, quality=quality)
    path = Path(issues)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            found = _report(data, validation, file, quality=quality)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return found


def _report(data: Data, validation: Any, file: IO[str] | None, *, quality: bool) -> Report:
    tally, found = Tally(file, data.checks), Recognised()
    looking = Quality(data.checks, held_out=validation is not None)
    rows, kind = 0, ""
    for row in stream(sources.rows(data, tally), tally, wanted=data.format, into=found):
        rows, kind = rows + 1, row.kind
        for issue in check_meaning(row):
            tally.append(weighed(issue, data.checks))
        if quality:
            looking.add(row)
    if validation is not None and quality:
        held = Data.of(validation)
        for row in stream(sources.rows(held, tally), tally, wanted=held.format, into=Recognised()):
            looking.held(row)
    for issue in looking.close() if quality else ():
        tally.append(issue)
    tally.counts.update(looking.beyond)
    order = {"error": 0, "warning": 1, "info": 2, "off": 3}
    return Report(
        source=sources.name(data),
        format=found.format,
        kind=kind,
        rows=rows,
        sha256={str(path): sha256(path) for path in sources.files(data)},
        counts=dict(tally.counts.most_common()),
        severities=tally.severities,
        issues=tuple(sorted(tally, key=lambda issue: order[issue.severity])[:SHOWN]),
    )
