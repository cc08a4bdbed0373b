"""Commands that begin something: run, plan, resume."""

from __future__ import annotations

import typer

from tunekit.cli import exits, output
from tunekit.cli.follow import follow
from tunekit.cli.options import (
    AsJson,
    BackendName,
    Detach,
    Overrides,
    RunId,
    SpecFile,
    Strict,
    Timeout,
)
from tunekit.running import run as life
from tunekit.spec.document import load


def run(
    spec: SpecFile,
    backend: BackendName = None,
    overrides: Overrides = None,
    strict: Strict = True,
    detach: Detach = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Start a fine-tune, show its progress, and compare the model before and after."""
    document = load(spec, overrides or ())
    with output.warned():
        started = life.submit(document.spec, backend or document.backend, strict=strict)
    if not as_json:
        output.show(started.plan)
    if detach:
        _detached(started, as_json)
    else:
        follow(started, timeout=timeout, as_json=as_json)


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
    made = life.plan(document.spec, backend or document.backend)
    if as_json:
        output.emit(made.model_dump(mode="json"))
    else:
        output.show(made)
    if made.unsupported and strict:
        raise typer.Exit(exits.REFUSED)


def resume(
    run: RunId, detach: Detach = False, timeout: Timeout = None, as_json: AsJson = False
) -> None:
    """Take up a run that failed or was cancelled, from its last good checkpoint."""
    resumed = life.get(run).resume()
    if detach:
        _detached(resumed, as_json)
    else:
        follow(resumed, timeout=timeout, as_json=as_json)


def _detached(run: life.Run, as_json: bool) -> None:
    if as_json:
        output.emit(output.facts(run))
    else:
        typer.echo(run.id)
        output.note(f"the job goes on by itself: `tunekit wait {run.id}`")
