"""How a comparison prints: the verdict, then numbers with their uncertainty, then answers."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from tunekit.evaluation.figures import figures, verdicts
from tunekit.printable import printable

if TYPE_CHECKING:
    from tunekit.evaluation.compare import Comparison

_WIDTH = 80
_LABEL = 11
_LONGEST = 260


def examples(comparison: Comparison) -> Iterator[list[tuple[str, str]]]:
    """Give the answers side by side: prompt, reference, base and tuned; safe to print."""
    for number in range(min(comparison.examples, len(comparison.prompts))):
        yield [
            ("prompt", _tail(comparison.prompts[number])),
            ("reference", _head(comparison.references[number])),
            ("base", _head(comparison.base.answers[number])),
            ("tuned", _head(comparison.tuned.answers[number])),
        ]


def text(comparison: Comparison) -> str:
    """Write plain lines of at most 80 columns."""
    lines = [line for finding in verdicts(comparison) for line in _finding(finding)]
    rows = figures(comparison)
    if lines and rows:
        lines.append("")
    names = max((len(name) for name, _, _ in rows), default=0)
    changes = max((len(change) for _, change, _ in rows), default=0)
    for name, change, note in rows:
        whole = f"{name:<{names}}  {change:<{changes}}  {note}".rstrip()
        short = len(whole) <= _WIDTH
        lines += [whole] if short else [f"{name:<{names}}  {change}", f"{'':<{names}}  {note}"]
    for number, example in enumerate(examples(comparison), 1):
        lines += ["", f"example {number}"]
        lines += [line for label, value in example for line in _wrapped(label, value)]
    return "\n".join(lines)


def drawn(comparison: Comparison) -> Any:
    """Draw for a terminal of any width."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = []
    for title, tone, notes in verdicts(comparison):
        parts.append(Text(title, style=_TONES[tone]))
        parts += [Text(f"  {printable(note)}") for note in notes]
    numbers = Table.grid(padding=(0, 2))
    for name, change, note in figures(comparison):
        numbers.add_row(Text(name, style="bold"), Text(change), Text(note, style="dim"))
    if numbers.row_count:
        parts += [Text(), numbers] if parts else [numbers]
    for example in examples(comparison):
        table = Table.grid(padding=(0, 2))
        for label, value in example:
            table.add_row(Text(label, style="dim"), Text(value, style=_STYLES.get(label, "")))
        parts += [Text(), table]
    return Group(*parts)


_STYLES = {"prompt": "dim", "tuned": "bold"}
_TONES = {"good": "bold green", "warn": "bold yellow", "bad": "bold red"}


def html(comparison: Comparison) -> str:
    """Write tables for a notebook."""
    heads = "".join(
        f"<p><strong>{escape(title)}</strong>{''.join(f'<br>{escape(note)}' for note in notes)}</p>"
        for title, _, notes in verdicts(comparison)
    )
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>"
        f"{escape(change)}</td><td style='text-align:left'>{escape(note)}</td></tr>"
        for name, change, note in figures(comparison)
    )
    tables = [f"{heads}<table>{rows}</table>"]
    for example in examples(comparison):
        cells = "".join(
            f"<tr><th style='text-align:left'>{escape(label)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for label, value in example
        )
        tables.append(f"<table>{cells}</table>")
    return "".join(tables)


def _finding(finding: tuple[str, str, list[str]]) -> list[str]:
    title, _, notes = finding
    lines = textwrap.wrap(title, _WIDTH, subsequent_indent="  ")
    for note in notes:
        lines += textwrap.wrap(
            printable(note), _WIDTH, initial_indent="  ", subsequent_indent="    "
        )
    return lines


def _head(value: str) -> str:
    shown = " ".join(printable(value).split()) or "(nothing)"
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 4] + " ..."


def _tail(value: str) -> str:
    shown = " ".join(printable(value).split())
    return shown if len(shown) <= _LONGEST else "... " + shown[4 - _LONGEST :]


def _wrapped(label: str, value: str) -> list[str]:
    lines = textwrap.wrap(value, _WIDTH - _LABEL)
    return [f"{label if n == 0 else '':<{_LABEL}}{line}" for n, line in enumerate(lines)]
