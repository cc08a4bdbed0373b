"""Write a page about one run, or one that compares several."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from tunekit.cli import output
from tunekit.cli.options import AsJson, RunIds
from tunekit.errors import SpecError
from tunekit.running.compare import readings
from tunekit.running.run import get


def report(
    runs: RunIds,
    to: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to write it; by default in the run's folder, of several runs here.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run as one page that can be sent to anybody; of several runs, one that compares them.

    The page is a single file. It loads nothing and runs no script.
    """
    try:
        path = _written(runs, to)
    except OSError as error:
        raise SpecError(f"{error.filename} cannot be written: {error.strerror}") from None
    if as_json:
        output.emit({"report": str(path)})
    else:
        typer.echo(path)
    if show and not webbrowser.open(path.absolute().as_uri()):
        output.note("no browser can be opened here; open the file yourself")


def _written(runs: list[str], to: Path | None) -> Path:
    if len(runs) == 1:
        return get(runs[0]).report(to)
    from tunekit.report import page

    return page.write(to or Path("comparison.html"), readings(runs))
