"""Wait for a run, with progress, and print how it ended."""

from __future__ import annotations

from pathlib import Path

from tunekit.cli import gate, output
from tunekit.errors import RunError
from tunekit.running.progress import Progress, interactive
from tunekit.running.run import Run
from tunekit.running.show import still_going


def follow(run: Run, *, timeout: float | None, as_json: bool, junit: Path | None = None) -> None:
    """Wait for the end; JSON is printed whatever the end is, unless the job goes on.

    Exits with 7 when the run has succeeded and its gate does not hold.

    Raises:
        RunError: it failed, was cancelled, or `timeout` seconds have passed.
    """
    silent = as_json and not interactive()
    try:
        with Progress(run, enabled=False if silent else None, comparison=False) as show:
            run.wait(timeout, on_event=show)
    except KeyboardInterrupt as stop:
        output.note(str(stop) or still_going(run.id))
        raise
    except RunError:
        if as_json:
            output.emit(output.facts(run))
        raise
    if as_json:
        output.emit(output.facts(run))
    else:
        if (comparison := run.evaluation) is not None:
            output.show(comparison)
        output.show(run)
    gate.close(run, junit=junit, as_json=as_json)
