"""One thing wrong with the data: code, place, what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tunekit.errors import DataError
from tunekit.files import write_atomic
from tunekit.spec.finetune import Severity

SHOWN = 20
ERROR_LIMIT = 1000
"""Reading stops after so many errors: the rest is most likely more of the same."""


class Issue(BaseModel):
    """One thing wrong, where it is, and how to mend it."""

    model_config = ConfigDict(frozen=True)

    code: str
    """Stable, kebab-case: `bad-json`, `empty-answer`, ..."""
    severity: Severity = "error"
    file: str
    line: int = 0
    """From 1; 0 speaks of the whole file."""
    column: int = 0
    """From 1; 0 when it does not apply."""
    message: str
    fix: str

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place += f":{self.line}"
            if self.column:
                place += f":{self.column}"
        return f"{place}: {self.code}: {self.message}\n    fix: {self.fix}"


class Enough(Exception):
    """So many errors were found that reading on is of no use; never reaches a user."""


class Found(list[Issue]):
    """Issues as they are found; those whose rows the spec drops are kept apart."""

    def __init__(
        self, *, checks: Mapping[str, str] | None = None, drop: Iterable[str] = ()
    ) -> None:
        super().__init__()
        self.checks = dict(checks or {})
        self.drop = frozenset(drop)
        self.dropped: list[Issue] = []
        self._errors = 0

    def append(self, issue: Issue) -> None:
        """Add one, unless it costs its row or is switched off.

        An error of reading cannot be weighed: what cannot be read cannot be trained on.

        Raises:
            Enough: `ERROR_LIMIT` errors have been found.
        """
        if issue.code in self.drop and issue.line:
            self.dropped.append(issue)
            return
        if issue.severity != "error":
            issue = weighed(issue, self.checks)
        if issue.severity == "off":
            return
        super().append(issue)
        self._errors += issue.severity == "error"
        if self._errors >= ERROR_LIMIT:
            raise Enough


def weighed(issue: Issue, checks: Mapping[str, str]) -> Issue:
    """Give an issue the severity that the spec wants for its code; it may be "off"."""
    wanted = checks.get(issue.code, issue.severity)
    return issue if wanted == issue.severity else issue.model_copy(update={"severity": wanted})


class Fault(Exception):
    """One thing wrong, raised where its file is not known yet; never reaches a user."""

    def __init__(self, code: str, message: str, fix: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix
        self.position = position
        """Offset in the text that was parsed, from 0."""

    def at(
        self, file: str, line: int = 0, *, column: int = 0, severity: Severity = "error"
    ) -> Issue:
        """Give the issue, with its place."""
        return Issue(
            code=self.code,
            severity=severity,
            file=file,
            line=line,
            column=column,
            message=self.message,
            fix=self.fix,
        )


def add(issues: Sequence[Issue], path: Path) -> None:
    """Add issues to a file of one JSON object a line; one that is in it is not added again.

    A run that is resumed finds the same ones again.
    """
    before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    lines = dict.fromkeys((*before, *(issue.model_dump_json() for issue in issues)))
    if lines:
        write_atomic(path, "".join(f"{line}\n" for line in lines))


def errors(issues: Iterable[Issue]) -> Iterator[Issue]:
    """Leave out the warnings."""
    return (issue for issue in issues if issue.severity == "error")


def fold(issues: Sequence[Issue], *, shown: int = SHOWN) -> tuple[Issue, ...]:
    """Keep the first issues of every code, and one that counts the others."""
    kept: list[Issue] = []
    seen: Counter[str] = Counter()
    first: dict[str, Issue] = {}
    for issue in issues:
        seen[issue.code] += 1
        first.setdefault(issue.code, issue)
        if seen[issue.code] <= shown:
            kept.append(issue)
    for code, count in seen.items():
        if count > shown:
            more = f"and {count - shown} more like the {shown} above"
            kept.append(first[code].model_copy(update={"line": 0, "column": 0, "message": more}))
    return tuple(kept)


def require(issues: Sequence[Issue]) -> None:
    """Stop when an issue is an error.

    Raises:
        DataError: with at most 20 issues in its text, and all of them in `.issues`.
    """
    found = list(errors(issues))
    if not found:
        return
    count = "1 error" if len(found) == 1 else f"{len(found)} errors"
    lines = [f"{count} in the data:", *map(str, found[:SHOWN])]
    if len(found) > SHOWN:
        lines.append(f"... and {len(found) - SHOWN} more")
    raise DataError("\n".join(lines), found)
