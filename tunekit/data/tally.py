"""Findings counted, the first of them kept, and all of them written to a file."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from tunekit.data.issues import SHOWN, Issue, weighed
from tunekit.spec.finetune import Severity


class Tally(list[Issue]):
    """Counts all issues, keeps the first of each code, and writes every one to a file."""

    def __init__(self, checks: Mapping[str, Severity]) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.severities: dict[str, Severity] = {}
        self._checks = checks
        self._file: IO[str] | None = None
        self._spilt: IO[str] | None = None

    @contextlib.contextmanager
    def into(self, path: str | Path | None) -> Generator[None, None, None]:
        """Write to a file what is taken meanwhile; it appears whole or not at all."""
        if path is None:
            yield
            return
        part = Path(path).with_name(f".{Path(path).name}.part")
        try:
            with part.open("w", encoding="utf-8") as file, _spool() as spilt:
                self._file, self._spilt = file, spilt
                yield
            part.replace(path)
        finally:
            self._file = self._spilt = None
            part.unlink(missing_ok=True)

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

    def spill(self, issue: Issue) -> None:
        """Take one of so many that only the file gets them, before its severity is known."""
        if self._spilt is not None:
            self._spilt.write(issue.model_dump_json() + "\n")

    def settle(self, weights: Mapping[str, Severity], beyond: Mapping[str, int]) -> None:
        """Count and write what was spilt, now that it is known what each code is worth."""
        self.counts.update({code: n for code, n in beyond.items() if weights[code] != "off"})
        if self._file is None or self._spilt is None:
            return
        self._spilt.seek(0)
        for line in self._spilt:
            issue = Issue.model_validate_json(line)
            if weights[issue.code] != "off":
                weight = {"severity": weights[issue.code]}
                self._file.write(issue.model_copy(update=weight).model_dump_json() + "\n")


def _spool() -> IO[str]:
    return TemporaryFile("w+", encoding="utf-8")
