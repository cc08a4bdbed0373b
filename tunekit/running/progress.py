"""How a run shows its progress: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, cast

from typing_extensions import Self

from tunekit.events import (
    CheckpointEvent,
    EvaluationEvent,
    Event,
    JobState,
    LogEvent,
    MetricsEvent,
    StateEvent,
)
from tunekit.printable import printable
from tunekit.running import reporting
from tunekit.running.pace import Pace

if TYPE_CHECKING:
    from tunekit.running.run import Run


class _Display(Protocol):
    def say(self, text: str) -> None: ...
    def step(self, pace: Pace) -> None: ...
    def result(self, event: EvaluationEvent) -> None: ...
    def close(self) -> None: ...


class Progress:
    """Show the events of a run on standard error while the block runs.

    `enabled=None` draws a bar in a terminal and writes lines elsewhere; True draws the bar
    anywhere; False is silent. With `comparison=False` the figures before and after are left out.
    """

    def __init__(self, run: Run, *, enabled: bool | None = None, comparison: bool = True) -> None:
        self._run = run
        self._pace = Pace(total=_planned_steps(run.plan.request))
        self._comparison = comparison
        self._evaluation: EvaluationEvent | None = None
        self._display: _Display | None = None
        if enabled is not False:
            self._display = _Bar() if enabled or interactive() else _Lines()

    def __enter__(self) -> Self:
        if self._display is not None:
            self._display.say(f"{self._run.id} on {self._run.backend}: {self._run.plan.model}")
        return self

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, EvaluationEvent):
            self._evaluation = event
        if self._display is None:
            return
        if isinstance(event, MetricsEvent):
            self._pace.add(event)
            self._display.step(self._pace)
        elif text := line(event):
            self._display.say(text)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._display is None:
            return
        self._display.close()
        if kind is not None or not self._comparison:
            return
        if self._evaluation is not None:
            self._display.result(self._evaluation)
        if (page := self._run.folder / reporting.NAME).is_file():
            self._display.say(f"report: {page}")


def interactive() -> bool:
    """Say whether somebody is watching standard error."""
    return sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def line(event: Event) -> str:
    """Write an event as one plain line; empty when there is nothing to say."""
    if isinstance(event, LogEvent):
        mark = "" if event.level == "info" else f"{event.level}: "
        return printable(f"{mark}{event.message}")
    if isinstance(event, StateEvent):
        reason = f": {event.reason}" if event.reason else ""
        native = f" ({event.native})" if event.native not in ("", event.state.value) else ""
        return printable(f"{event.state}{native}{reason}")
    if isinstance(event, CheckpointEvent):
        return f"checkpoint at step {event.step}"
    if isinstance(event, MetricsEvent):
        return figures(event)
    return "compared base and tuned model on held-out rows"


def figures(event: MetricsEvent) -> str:
    """Write the numbers of a step: loss first, as few digits as tell them apart."""
    names = sorted(event.metrics, key=lambda name: (name not in ("loss", "eval_loss"), name))
    shown = [f"{printable(name)} {event.metrics[name]:.4g}" for name in names]
    return f"step {event.step}: " + ", ".join(shown)


def _planned_steps(request: dict[str, Any]) -> int | None:
    trainer = request.get("trainer")
    holder = cast("dict[str, Any]", trainer) if isinstance(trainer, dict) else request
    steps = holder.get("max_steps")
    return steps if isinstance(steps, int) and steps > 0 else None


class _Lines:
    """Lines for logs and pipes: a step is written at each tenth of the way."""

    _PATIENCE = 10.0

    def __init__(self) -> None:
        self._tenth = -1
        self._last = 0.0

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201

    def step(self, pace: Pace) -> None:
        tenth = int(10 * pace.share) if pace.total else -1
        waited = time.monotonic() - self._last >= self._PATIENCE
        if pace.loss is None or not (tenth > self._tenth or waited):
            return
        self._tenth = max(tenth, self._tenth)
        self._last = time.monotonic()
        self.say(str(pace))

    def result(self, event: EvaluationEvent) -> None:
        self.say(printable(str(_comparison(event))))

    def close(self) -> None:
        """Nothing is held open."""


class _Bar:
    """A bar that rich draws: share, step, loss, tokens per second, time left."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        from tunekit.running.screen import Screen

        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[figures]}"),
            console=Screen(stderr=True),
        )
        self._task = self._bars.add_task("waiting", total=None, figures="")
        self._bars.start()

    def say(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)
        states = {state.value for state in JobState}
        if (word := text.partition(" ")[0].rstrip(":")) in states:
            self._bars.update(self._task, description=word)

    def step(self, pace: Pace) -> None:
        self._bars.update(
            self._task,
            completed=pace.step,
            total=pace.total,
            figures=str(pace),
            description="training",
        )

    def result(self, event: EvaluationEvent) -> None:
        self._bars.console.print(_comparison(event))

    def close(self) -> None:
        self._bars.stop()


def _comparison(event: EvaluationEvent) -> Any:
    from tunekit.evaluation.compare import Comparison

    return Comparison.model_validate(event.result)
