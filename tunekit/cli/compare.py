"""Put runs side by side: verdicts, figures, and the settings that differ."""

from __future__ import annotations

from typing import Any

import typer

from tunekit.cli import output
from tunekit.cli.options import AsJson, RunIds
from tunekit.printable import printable
from tunekit.report.headline import Headline
from tunekit.report.overview import Cell, Overview
from tunekit.report.reading import Reading
from tunekit.running.compare import readings

_STYLES = {"good": "green", "warn": "yellow", "bad": "red", "plain": ""}


def compare(runs: RunIds, as_json: AsJson = False) -> None:
    """Compare runs: verdicts, figures, and the settings in which they differ.

    `tunekit report RUN RUN` writes the same as a page, with curves and answers.
    """
    if len(runs) < 2:
        raise typer.BadParameter("name two runs or more", param_hint="RUN")
    found = readings(runs)
    overview = Overview.of(found)
    if as_json:
        output.emit(_json(found, overview))
        return
    output.show(_table(found, overview))


def _table(found: list[Reading], overview: Overview) -> Any:
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("", *map(_heading, found)):
        made.add_column(Text(name), overflow="fold")
    for name, cells in overview.outcomes:
        made.add_row(Text(name), *map(_cell, cells))
    if overview.settings:
        made.add_row()
        made.add_row(Text("settings that differ", style="dim"))
    for name, values in overview.settings:
        made.add_row(Text(printable(name)), *(Text(printable(value)) for value in values))
    return made


def _heading(reading: Reading) -> str:
    """Give the id; a name may belong to several runs."""
    return reading.record.id


def _cell(cell: Cell) -> Any:
    from rich.text import Text

    note = f" ({cell.note})" if cell.note else ""
    return Text.assemble((printable(cell.text), _STYLES[cell.tone]), (note, "dim"))


def _json(found: list[Reading], overview: Overview) -> dict[str, Any]:
    heads = [Headline.of(reading) for reading in found]
    return {
        "runs": [
            {
                "id": reading.record.id,
                "name": reading.record.name,
                "state": reading.record.state.value,
                "outcome": head.title,
                "seconds": reading.seconds,
                "evaluation": reading.comparison.model_dump(mode="json")
                if reading.comparison
                else None,
            }
            for reading, head in zip(found, heads, strict=True)
        ],
        "settings": {name: list(values) for name, values in overview.settings},
    }
