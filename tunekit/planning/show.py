"""A plan for people: in a terminal, as text, in a notebook."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from tunekit.printable import printable

if TYPE_CHECKING:
    from tunekit.planning.plan import Change, Plan


@dataclass(frozen=True)
class _Section:
    title: str
    rows: tuple[tuple[str, str, str, str], ...]
    """Name, value, reason, source."""
    style: str = ""


def table(plan: Plan, *, verbose: bool = False) -> Any:
    """Draw the plan for rich; `verbose` adds the native request."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [Text(line, style="bold" if i == 0 else "") for i, line in _head(plan)]
    for section in _sections(plan):
        parts += [Text(""), Text(section.title, style=f"bold {section.style}"), _grid(section)]
    parts += [Text(""), Text(_hint(plan), style="dim")]
    if verbose:
        request = json.dumps(plan.request, indent=1, ensure_ascii=False)
        parts += [Text(""), Text("Request", style="bold"), Text(printable(request))]
    return Group(*parts)


def text(plan: Plan, *, verbose: bool = False, width: int = 100) -> str:
    """Write the plan without colours."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, force_jupyter=False)
    console.print(table(plan, verbose=verbose))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def html(plan: Plan) -> str:
    """Write the plan for a notebook."""
    head = "<br>".join(escape(line) for _, line in _head(plan))
    sections = "".join(map(_html_section, _sections(plan)))
    return f"<div><p><b>{head}</b></p>{sections}<p>{escape(_hint(plan))}</p></div>"


def _head(plan: Plan) -> Iterable[tuple[int, str]]:
    lines = [f"Plan: {plan.model} on {plan.backend}", plan.summary]
    return enumerate(printable(line) for line in lines if line)


def _sections(plan: Plan) -> list[_Section]:
    """Sort the changes by outcome; empty sections are left out."""
    estimates = tuple(
        (
            printable(each.name),
            printable(f"{_value(each.value)} {each.unit}"),
            printable(each.reason),
            "",
        )
        for each in plan.estimates
    )
    sections = [
        _Section("Chosen automatically", _rows(plan, "auto")),
        _Section("Cannot be honoured", _rows(plan, "unsupported"), "red"),
        _Section("Changed for this backend", _rows(plan, "adapted")),
        _Section("Left out", _rows(plan, "dropped")),
        _Section("Estimates", estimates),
        _Section("Warnings", tuple(("!", "", printable(w), "") for w in plan.warnings), "yellow"),
    ]
    return [section for section in sections if section.rows]


def _rows(plan: Plan, outcome: str) -> tuple[tuple[str, str, str, str], ...]:
    return tuple(
        (printable(each.field), _change(each), printable(each.reason), printable(each.source))
        for each in plan.changes
        if each.outcome == outcome
    )


def _change(change: Change) -> str:
    if change.outcome == "auto":
        return _value(change.used)
    if change.outcome == "adapted" or change.used is not None:
        return f"{_value(change.asked)} → {_value(change.used)}"
    return _value(change.asked)


def _value(value: Any) -> str:
    """Write a value as `--set` takes it: `1.8e-4`, `true`, `[q_proj, v_proj]`."""
    if isinstance(value, float) and 0 < abs(value) < 1e-3:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e6 else f"{value:,.0f}"
    line = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = printable(line).replace("\n", " ")
    return line if len(line) <= 48 else line[:45] + "..."


def _grid(section: _Section) -> Any:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", max_width=24)
    grid.add_column(overflow="fold", ratio=1)
    for name, value, reason, source in section.rows:
        told = Text(reason)
        if source:
            told.append(f" [{source}]", style="dim")
        grid.add_row(Text(f"  {name}", style=section.style), Text(value, style="cyan"), told)
    return grid


def _html_section(section: _Section) -> str:
    colour = f" style='color:{section.style}'" if section.style == "red" else ""
    left = "style='text-align:left;vertical-align:top'"
    rows = "".join(
        f"<tr><td {left}><code>{escape(name)}</code></td><td {left}>{escape(value)}</td>"
        f"<td {left}>{escape(reason)}{f' <small>[{escape(source)}]</small>' if source else ''}"
        "</td></tr>"
        for name, value, reason, source in section.rows
    )
    return f"<p><b{colour}>{escape(section.title)}</b></p><table>{rows}</table>"


def _hint(plan: Plan) -> str:
    if plan.unsupported:
        return (
            "What cannot be honoured stops the run: remove it, choose another backend, or go on "
            "without it (--no-strict)."
        )
    picked = [change for change in plan.changes if change.outcome == "auto"]
    if not picked:
        return "Everything goes to the backend as written."
    example = min(picked, key=_as_example)
    return f"To choose a value yourself: --set {example.field}={_value(example.used)}"


def _as_example(change: Change) -> tuple[bool, bool]:
    """Prefer the learning rate, then the training to settings of the machine."""
    return change.field != "training.learning_rate", change.field.startswith("backend.")
