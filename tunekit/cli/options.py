"""Arguments and options that several commands share, and their completion."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunekit.errors import TunekitError

if TYPE_CHECKING:
    from tunekit.store import Record


def _complete_run(incomplete: str) -> list[tuple[str, str]]:
    """Offer the ids of runs, newest first, with their state."""
    from tunekit.store import folders

    found: list[Record] = []
    # A damaged record is no reason for a traceback in the middle of a command line.
    with contextlib.suppress(TunekitError):
        found += [folder.read() for folder in folders()]
    return [
        (entry.id, f"{entry.state}, {entry.plan.model}")
        for entry in found
        if entry.id.startswith(incomplete)
    ]


def _complete_backend(incomplete: str) -> list[str]:
    from tunekit.backends.registry import names

    return [name for name in names() if name.startswith(incomplete)]


def _complete_tracker(incomplete: str) -> list[str]:
    from tunekit.trackers.registry import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]


RunId = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Id of a run, the beginning of one, or a run's name.",
        autocompletion=_complete_run,
        show_default=False,
    ),
]
RunIds = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help="Ids of runs, the beginnings of them, or their names.",
        autocompletion=_complete_run,
        show_default=False,
    ),
]
SpecFile = Annotated[
    Path, typer.Argument(metavar="SPEC", help="A YAML or JSON file.", show_default=False)
]
BackendName = Annotated[
    str | None,
    typer.Option(
        "--backend",
        "-b",
        help="Where to run; over `backend:` in the file.",
        autocompletion=_complete_backend,
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="Change a value of the spec: training.epochs=3. May be repeated.",
        show_default=False,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict/--no-strict",
        help="Stop when the backend cannot honour a setting, or go on without it.",
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        "--max-cost",
        min=0,
        metavar="DOLLARS",
        help="What a service may charge, in US dollars; inf agrees to anything.",
        show_default=False,
    ),
]
Trackers = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="TRACKER",
        help="Send the figures to tensorboard, wandb, mlflow or trackio; may be repeated.",
        autocompletion=_complete_tracker,
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Detach = Annotated[
    bool, typer.Option("--detach", "-d", help="Return at once; the job goes on by itself.")
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0, help="Seconds to wait; the job goes on.", show_default=False),
]
