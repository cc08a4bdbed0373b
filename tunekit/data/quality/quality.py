"""All checks of quality over one dataset, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from tunekit.data.issues import Issue
from tunekit.data.quality.boilerplate import Boilerplate
from tunekit.data.quality.catalogue import severity
from tunekit.data.quality.check import Check
from tunekit.data.quality.contradictions import Contradictions
from tunekit.data.quality.controls import ControlTokens
from tunekit.data.quality.duplicates import Duplicates
from tunekit.data.quality.language import Languages
from tunekit.data.quality.leakage import Leakage
from tunekit.data.quality.lengths import Lengths
from tunekit.data.quality.personal import PersonalData
from tunekit.data.quality.preference import Preferences
from tunekit.data.quality.roles import Roles
from tunekit.data.quality.secrets import Secrets
from tunekit.data.quality.toolcalls import ToolCalls
from tunekit.data.quality.verdicts import Verdicts
from tunekit.data.quality.weights import Weights
from tunekit.data.rows import Row
from tunekit.spec.finetune import Severity

KEPT = 10_000
"""Findings of one code that are kept; all are counted."""


class Quality:
    """Looks at every row once; what it found is weighed at the end, against all rows."""

    def __init__(
        self,
        checks: Mapping[str, Severity] | None = None,
        *,
        kept: int | None = KEPT,
        held_out: bool = False,
        more: Iterable[Check] = (),
        sink: Callable[[Issue], None] | None = None,
    ) -> None:
        """Make ready.

        Args:
            checks: severities that the spec sets.
            kept: findings of one code that are kept; None: all, so that every row is known.
            held_out: whether held-out rows from another source will be compared.
            more: checks beside those that every source gets.
            sink: gets the findings that are not kept, before they are weighed.
        """
        self.counts: Counter[str] = Counter()
        self.rows = 0
        self.weights: dict[str, Severity] = {}
        self._checks: dict[str, Severity] = dict(checks or {})
        self._kept = kept
        self._sink = sink
        self._found: list[Issue] = []
        self._leakage = Leakage() if held_out else None
        self._all: tuple[Check, ...] = (
            *(Roles(), ToolCalls(), ControlTokens(), Secrets(), PersonalData(), Boilerplate()),
            *(Preferences(), Verdicts(), Languages(), Lengths(), Contradictions(), Duplicates()),
            Weights(),
            *((self._leakage,) if self._leakage else ()),
            *more,
        )

    def add(self, row: Row) -> None:
        """Look at a row to train on."""
        self.rows += 1
        for check in self._all:
            for issue in check.add(row):
                self._take(issue)

    def held(self, row: Row) -> None:
        """Look at a held-out row; all rows to train on must have been added."""
        for issue in self._leakage.held(row) if self._leakage else ():
            self._take(issue)

    def close(self) -> tuple[Issue, ...]:
        """Give the findings with what each is worth; those switched off are left out."""
        for check in self._all:
            for issue in check.close():
                self._take(issue)
        self.weights = {
            code: severity(code, count, self.rows, self._checks)
            for code, count in self.counts.items()
        }
        return tuple(
            issue.model_copy(update={"severity": _weight(issue, self.weights[issue.code])})
            for issue in self._found
            if self.weights[issue.code] != "off"
        )

    @property
    def beyond(self) -> dict[str, int]:
        """Count the findings of each code that were not kept."""
        kept = Counter(issue.code for issue in self._found)
        return {code: n - kept[code] for code, n in self.counts.items() if n > kept[code]}

    def _take(self, issue: Issue) -> None:
        self.counts[issue.code] += 1
        if self._kept is None or self.counts[issue.code] <= self._kept:
            self._found.append(issue)
        elif self._sink is not None:
            self._sink(issue)


def _weight(issue: Issue, weight: Severity) -> Severity:
    """Let a check that sees the whole call its finding an error itself."""
    return "error" if issue.severity == "error" and weight == "warning" else weight
