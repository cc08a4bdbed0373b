"""Commands for writing a spec: init and schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunekit.cli import output
from tunekit.cli.template import ROWS, commented
from tunekit.errors import SpecError
from tunekit.spec import document


def schema() -> None:
    """Print the JSON Schema of a spec file, for editors to complete and check it."""
    output.emit(document.schema())


def init(
    path: Annotated[
        Path, typer.Argument(help="The file to write; rows to begin with go beside it.")
    ] = Path("tunekit.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write a commented spec, and a few rows to begin with."""
    if path.exists() and not force:
        raise SpecError(f"{path} exists; choose another name, or replace it with --force")
    rows = path.parent / "train.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(commented(), encoding="utf-8")
        kept = rows.exists()
        if not kept:
            rows.write_text(ROWS, encoding="utf-8")
    except OSError as error:
        raise SpecError(f"{path} cannot be written: {error.strerror}") from None
    typer.echo(f"wrote {path}" + ("" if kept else f" and {rows}"))
    output.note(
        f"next: put your rows into {rows}, look with `tunekit plan {path}`, "
        f"train with `tunekit run {path}`"
    )
