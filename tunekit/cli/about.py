"""Commands about this installation: backends and doctor."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from tunekit.backends import registry
from tunekit.cli import exits, output
from tunekit.cli.doctor import Level, examine
from tunekit.cli.options import AsJson
from tunekit.errors import TunekitError

_MARKS = {"ok": "green", "warn": "yellow", "fail": "red"}


def backends(as_json: AsJson = False) -> None:
    """List where a spec can run, with what each backend can do."""
    found = [_describe(name) for name in registry.names()]
    if as_json:
        output.emit(found)
        return
    rows = [[entry["name"], _verbs(entry), entry["about"] or entry["problem"]] for entry in found]
    output.show(output.table(["name", "can", "about"], rows))


def doctor(
    python: Annotated[
        Path | None,
        typer.Option(help="Interpreter meant for Unsloth; look at it too.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at this machine and installation; exits with 1 when something stops training."""
    findings = examine(python)
    if as_json:
        output.emit([dataclasses.asdict(finding) for finding in findings])
    else:
        from rich.text import Text

        for finding in findings:
            line = Text.assemble(
                (f"{finding.level:<5}", _MARKS[finding.level]), f"{finding.name:<13} {finding.text}"
            )
            output.show(line)
            if finding.fix:
                output.show(Text(f"{'':<19}fix: {finding.fix}"))
    if any(finding.level == Level.FAIL for finding in findings):
        raise typer.Exit(exits.FAILED)


def _describe(name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "about": "", "capabilities": {}, "problem": ""}
    try:
        backend = registry.resolve(name)
    except TunekitError as error:
        return {**entry, "problem": str(error)}
    about = (inspect.getdoc(type(backend)) or "").partition("\n")[0]
    if backend.name != name:
        recipe = registry.recipe(backend)
        settings = ", ".join(f"{key}: {value}" for key, value in recipe.items())
        about = f"Short for {{{settings}}}."
    return {
        **entry,
        "about": about,
        "capabilities": dataclasses.asdict(backend.capabilities),
    }


def _verbs(entry: dict[str, Any]) -> str:
    return ", ".join(name for name, able in entry["capabilities"].items() if able)
