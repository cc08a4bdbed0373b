"""Commands that look at runs or stop them: runs, show, logs, wait, cancel."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from tunekit.cli import output
from tunekit.cli.follow import follow
from tunekit.cli.options import AsJson, RunId, Timeout
from tunekit.errors import TunekitError
from tunekit.events import Event, JobState
from tunekit.printable import printable
from tunekit.report.figures import duration
from tunekit.running import run as life
from tunekit.running.progress import line


def runs(
    state: Annotated[
        JobState | None, typer.Option(help="Only those in this state.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List all runs, newest first."""
    found = [_fresh(run) for run in life.runs()]
    found = [run for run in found if state in (None, run.state)]
    if as_json:
        output.emit([output.facts(run) for run in found])
    elif found:
        rows = [_row(run) for run in found]
        output.show(output.table(["id", "state", "model", "backend", "started", "took"], rows))
    else:
        output.note("no runs yet; `tunekit init` writes a spec to begin with")


def show(run: RunId, as_json: AsJson = False) -> None:
    """Show how a run stands, its plan, and its figures before and after."""
    found = life.get(run)
    if as_json:
        more = {"spec": found.spec.minimal(), "plan": found.plan.model_dump(mode="json")}
        output.emit({**output.facts(found), **more})
        return
    output.show(found)
    output.show("")
    output.show(found.plan)
    if (comparison := found.evaluation) is not None:
        output.show("")
        output.show(comparison)


def logs(
    run: RunId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it is over.")] = False,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", min=1, help="Only the last so many.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="The output of the job itself, not its events.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print what a run has said; with --json, one event a line."""
    found = life.get(run)
    if raw:
        typer.echo(printable(found.log(lines or 50)))
        return
    past = list(found.events(follow=False))
    for event in past[-lines:] if lines else past:
        _print(event, as_json)
    if follow:
        for number, event in enumerate(found.events(follow=True)):
            if number >= len(past):
                _print(event, as_json)


def wait(run: RunId, timeout: Timeout = None, as_json: AsJson = False) -> None:
    """Wait for a run, from any terminal."""
    follow(life.get(run), timeout=timeout, as_json=as_json)


def cancel(run: RunId, as_json: AsJson = False) -> None:
    """Ask a run to stop; harmless when it is over."""
    found = life.get(run)
    over = found.state.terminal
    found.cancel()
    if as_json:
        output.emit(output.facts(_fresh(found)))
    elif over:
        typer.echo(f"{found.id} is over already: {found.state}")
    else:
        typer.echo(f"asked {found.id} to stop; `tunekit wait {found.id}` sees it end")


def _print(event: Event, as_json: bool) -> None:
    if as_json:
        output.emit_line(event.model_dump(mode="json"))
    else:
        clock = time.strftime("%H:%M:%S", time.localtime(event.time))
        typer.echo(f"{clock} {line(event)}")


def _fresh(run: life.Run) -> life.Run:
    """Bring a run up to date; one whose backend does not answer stays as it was last seen."""
    try:
        return run.refresh()
    except TunekitError as error:
        output.note(f"warning: {run.id} cannot be refreshed: {error}")
        return run


def _row(run: life.Run) -> list[str]:
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created))
    took = "" if run.ended is None else duration(run.ended - run.created)
    return [run.id, run.state.value, run.plan.model, run.backend, started, took]
