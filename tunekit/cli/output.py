"""What the command line prints: people and JSON on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from collections.abc import Generator
from typing import Any

import typer

from tunekit.printable import printable
from tunekit.running.run import Run


def emit(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def emit_line(value: Any) -> None:
    """Print a value as one line of JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def show(thing: Any) -> None:
    """Print something that draws itself, or text."""
    from tunekit.running.screen import Screen

    screen = Screen()
    if screen.is_terminal:
        screen.print(thing, markup=False)
        return
    with screen.capture() as drawn:
        screen.print(thing, markup=False)
    # Tables are filled up with blanks, which pipes and logs have no use for.
    typer.echo("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def is_terminal() -> bool:
    """Say whether people see the output in colour."""
    from tunekit.running.screen import Screen

    return bool(Screen().is_terminal)


def note(text: str) -> None:
    """Say something beside the result."""
    typer.echo(printable(text), err=True)


def table(columns: list[str], rows: list[list[str]]) -> Any:
    """Make a table without lines."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        made.add_column(column, no_wrap=column in ("id", "state"))
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made


@contextlib.contextmanager
def warned() -> Generator[None, None, None]:
    """Turn Python's warnings into plain lines."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        note(f"warning: {warning.message}")


def facts(run: Run) -> dict[str, Any]:
    """Describe a run in JSON values."""
    adapter = run.folder / "adapter"
    comparison = run.evaluation
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state.value,
        "native": run.native,
        "reason": run.reason,
        "model": run.plan.model,
        "backend": run.backend,
        "job_id": run.job_id,
        "created": stamp(run.created),
        "ended": None if run.ended is None else stamp(run.ended),
        "folder": str(run.folder),
        "adapter": str(adapter) if adapter.is_dir() else None,
        "evaluation": comparison.model_dump(mode="json") if comparison else None,
    }


def stamp(seconds: float) -> str:
    """Write a time as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
