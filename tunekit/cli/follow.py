"""Wait for a run, with progress, and print how it ended."""

from __future__ import annotations

from tunekit.cli import output
from tunekit.errors import RunError
from tunekit.running.progress import Progress, interactive
from tunekit.running.run import Run
from tunekit.running.show import still_going


def follow(run: Run, *, timeout: float | None, as_json: bool) -> None:
    """Wait for the end; JSON is printed whatever the end is, unless the job goes on.

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
        return
    if (comparison := run.evaluation) is not None:
        output.show(comparison)
    output.show(run)
