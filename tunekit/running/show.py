"""How a run prints: one screen that says how it stands and what to do next."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING, Any

from tunekit.evaluation import show as evaluation
from tunekit.events import JobState
from tunekit.printable import printable
from tunekit.report.figures import duration
from tunekit.running import reporting
from tunekit.running.desktop import desktop

if TYPE_CHECKING:
    from tunekit.running.run import Run

_COLOURS = {
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "yellow",
    JobState.RUNNING: "cyan",
    JobState.QUEUED: "cyan",
}


def facts(run: Run) -> list[tuple[str, str]]:
    """List what is worth knowing, in order."""
    lines = [
        ("run", run.id),
        ("state", str(run.state)),
        ("model", run.plan.model),
        ("backend", run.backend),
        ("started", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.created))),
    ]
    if run.ended is not None:
        lines.append(("took", duration(run.ended - run.created)))
    if run.reason:
        lines.append(("reason", printable(run.reason)))
    lines.append(("folder", str(run.folder)))
    if (page := run.folder / reporting.NAME).is_file():
        lines.append(("report", str(page)))
    lines.append(("next", _next(run)))
    return lines


def still_going(run_id: str) -> str:
    """Say that the job outlives us, and how to take it up again."""
    return (
        f"{run_id} goes on without us; watch it with `tunekit wait {run_id}`, "
        f"stop it with `tunekit cancel {run_id}`"
    )


def text(run: Run) -> str:
    """Write the facts as plain lines."""
    return "\n".join(f"{name:<8} {value}" for name, value in facts(run))


def panel(run: Run) -> Any:
    """Draw the facts for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in facts(run):
        style = _COLOURS[run.state] if name == "state" else ""
        table.add_row(Text(name, style="dim"), Text(value, style=style))
    return table


def html(run: Run) -> str:
    """Write the facts, and the comparison if there is one, for a notebook."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in facts(run)
    )
    page = run.folder / reporting.NAME
    link = f"<p><a href='{escape(page.as_uri())}'>Report</a></p>" if page.is_file() else ""
    comparison = run.evaluation
    return f"<table>{rows}</table>{link}" + (evaluation.html(comparison) if comparison else "")


def _next(run: Run) -> str:
    if run.state is JobState.SUCCEEDED:
        opens = f"tunekit report {run.id} --open · " if desktop() else ""
        return f"{opens}tunekit.get({run.id!r}).adapter.load()"
    if run.state in (JobState.FAILED, JobState.CANCELLED):
        return f"tunekit logs {run.id} · tunekit resume {run.id}"
    if run.job_id is None:
        return f"it was never started: tunekit resume {run.id}"
    return f"tunekit wait {run.id} · tunekit cancel {run.id}"
