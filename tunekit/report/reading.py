"""All that a page says about a run, read from its folder."""

from __future__ import annotations

from dataclasses import dataclass

from tunekit.evaluation.compare import Comparison
from tunekit.events import EvaluationEvent, LogEvent, MetricsEvent
from tunekit.report.series import Point, series
from tunekit.store import Record, RunFolder


@dataclass(frozen=True)
class Reading:
    """What a run has left behind."""

    record: Record
    comparison: Comparison | None
    series: dict[str, list[Point]]
    """Values over steps, by the metric's name."""
    notes: tuple[LogEvent, ...]
    """Warnings and errors among what it has said."""
    log: str
    """The last lines of the job's own log; empty unless it failed."""

    @classmethod
    def of(cls, folder: RunFolder) -> Reading:
        """Read a run.

        Raises:
            RunError: there is no record, or it is damaged.
        """
        record = folder.read()
        metrics: list[MetricsEvent] = []
        notes: list[LogEvent] = []
        result = None
        for event, _ in folder.events():
            if isinstance(event, MetricsEvent):
                metrics.append(event)
            elif isinstance(event, LogEvent) and event.level != "info":
                notes.append(event)
            elif isinstance(event, EvaluationEvent):
                result = event.result
        return cls(
            record=record,
            comparison=None if result is None else Comparison.model_validate(result),
            series=series(metrics),
            notes=tuple(notes),
            log=record.log.strip(),
        )

    @property
    def title(self) -> str:
        """What to call the run."""
        return self.record.name or self.record.id

    @property
    def seconds(self) -> float | None:
        """From its creation to its end."""
        return None if self.record.ended is None else self.record.ended - self.record.created

    def last(self, metric: str) -> float | None:
        """Give the last value of a metric."""
        points = self.series.get(metric)
        return points[-1][1] if points else None
