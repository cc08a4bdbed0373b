"""Commands that begin something: run, plan, resume, attach."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tunekit.cli import exits, output
from tunekit.cli.follow import follow
from tunekit.cli.gate import JUnit
from tunekit.cli.options import (
    AsJson,
    BackendName,
    Detach,
    MaxCost,
    Overrides,
    RunId,
    SpecFile,
    Strict,
    Timeout,
    Trackers,
)
from tunekit.errors import CostNotAccepted
from tunekit.running import start
from tunekit.running.attach import attach as take_up
from tunekit.running.run import Run, get
from tunekit.spec.document import load


def run(
    spec: SpecFile,
    backend: BackendName = None,
    overrides: Overrides = None,
    strict: Strict = True,
    max_cost: MaxCost = None,
    track: Trackers = None,
    detach: Detach = False,
    timeout: Timeout = None,
    junit: JUnit = None,
    as_json: AsJson = False,
) -> None:
    """Start a fine-tune, show its progress, and compare the model before and after.

    What costs money is bought within --max-cost, or after a question in a terminal.
    """
    document = load(spec, overrides or ())
    chosen = backend or document.backend
    with output.warned():
        try:
            started = start.submit(
                document.spec, chosen, strict=strict, max_cost=max_cost, trackers=track or ()
            )
        except CostNotAccepted as refused:
            started = _asked(refused)
    if not as_json:
        output.show(started.plan)
    if detach:
        _detached(started, as_json)
    else:
        follow(started, timeout=timeout, as_json=as_json, junit=junit)


def plan(
    spec: SpecFile,
    backend: BackendName = None,
    overrides: Overrides = None,
    strict: Strict = True,
    as_json: AsJson = False,
) -> None:
    """Show what a backend would be sent, and every change on the way; nothing is started.

    Exits with 3 when the backend cannot honour a setting, unless --no-strict is given.
    """
    document = load(spec, overrides or ())
    made = start.plan(document.spec, backend or document.backend)
    if as_json:
        output.emit(made.model_dump(mode="json"))
    else:
        output.show(made)
    if made.unsupported and strict:
        raise typer.Exit(exits.REFUSED)


def resume(
    run: RunId,
    max_cost: MaxCost = None,
    detach: Detach = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Take up a run that failed, was cancelled, or was not bought yet."""
    try:
        resumed = get(run).resume(max_cost=max_cost)
    except CostNotAccepted as refused:
        resumed = _asked(refused)
    if detach:
        _detached(resumed, as_json)
    else:
        follow(resumed, timeout=timeout, as_json=as_json)


def attach(
    job: Annotated[str, typer.Argument(metavar="BACKEND:JOB", help="Such as together:ft-12ab.")],
    name: Annotated[
        str | None, typer.Option(help="A name for the run.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take up a job that was started elsewhere: its state, figures and result become a run."""
    taken = take_up(job, name=name)
    if as_json:
        output.emit(output.facts(taken))
    else:
        output.show(taken)


def _asked(refused: CostNotAccepted) -> Run:
    """Ask in a terminal whether the price is right, and buy; elsewhere nobody can agree."""
    if refused.estimate is None or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise refused
    output.note(f"{refused.backend} estimates ${refused.estimate:,.2f} for {refused.run_id}.")
    if not typer.confirm("Start it?"):
        raise refused
    # The next estimate may differ by a rounding.
    return get(refused.run_id).resume(max_cost=refused.estimate * 1.01)


def _detached(run: Run, as_json: bool) -> None:
    if as_json:
        output.emit(output.facts(run))
    else:
        typer.echo(run.id)
        output.note(f"the job goes on by itself: `tunekit wait {run.id}`")
