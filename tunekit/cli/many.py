"""The command that trains several specs in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunekit.cli import gate, output
from tunekit.cli.options import AsJson, BackendName, Overrides, Strict, Timeout
from tunekit.events import JobState
from tunekit.running import many
from tunekit.running.progress import interactive
from tunekit.spec.document import load

SpecFiles = Annotated[
    list[Path], typer.Argument(metavar="SPEC...", help="YAML or JSON files.", show_default=False)
]


def run_many(
    specs: SpecFiles,
    backend: BackendName = None,
    overrides: Overrides = None,
    strict: Strict = True,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Train the adapters of several specs at once, in one process over one base.

    Each becomes a run of its own, as with `tunekit run`. One that fails ends alone; the others go
    on, and the exit code is that of the first that failed.
    """
    documents = [load(spec, overrides or ()) for spec in specs]
    silent = as_json and not interactive()
    with output.warned():
        runs = many.run_many(
            documents, backend, strict=strict, timeout=timeout, progress=False if silent else None
        )
    if as_json:
        output.emit([output.facts(run) for run in runs])
    else:
        for run in runs:
            output.show(run)
    for run in runs:
        if run.state is not JobState.SUCCEEDED:
            run.wait()
    for run in runs:
        gate.close(run, junit=None, as_json=as_json)
