"""How a comparison prints: numbers with their uncertainty, then answers side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from tunekit.evaluation.statistics import wilson
from tunekit.printable import printable

if TYPE_CHECKING:
    from tunekit.evaluation.compare import Comparison

_WIDTH = 80
_LABEL = 11
_LONGEST = 260


def figures(comparison: Comparison) -> list[tuple[str, str, str]]:
    """List every figure: its name, `before -> after`, and what it rests on."""
    base, tuned = comparison.base, comparison.tuned
    rows: list[tuple[str, str, str]] = []
    if tuned.tokens:
        rows.append(("held-out loss", *_change(base.loss, tuned.loss, f"{tuned.tokens:,} tokens")))
        rows.append(("perplexity", *_change(base.perplexity, tuned.perplexity)))
    for name, score in comparison.scores.items():
        if score.proportion:
            rows.append((name, *_proportion(score.base, score.tuned, score.count)))
        else:
            change = f"{score.base:.2f} -> {score.tuned:.2f}"
            rows.append((name, change, f"n = {score.count}"))
    pairs = len(base.pairs)
    likelier = base.preference_accuracy, tuned.preference_accuracy
    if likelier[0] is not None and likelier[1] is not None:
        rows.append(("chosen is likelier", *_proportion(likelier[0], likelier[1], pairs)))
    gained = comparison.preference_accuracy
    if gained is not None:
        note = f"n = {pairs}; 95 %: {_interval(gained, pairs)}"
        rows.append(("chosen gained more", _percent(gained), note))
    return rows


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
    rows = figures(comparison)
    names = max((len(name) for name, _, _ in rows), default=0)
    changes = max((len(change) for _, change, _ in rows), default=0)
    lines = [
        f"{name:<{names}}  {change:<{changes}}  {note}".rstrip() for name, change, note in rows
    ]
    for number, example in enumerate(examples(comparison), 1):
        lines += ["", f"example {number}"]
        lines += [line for label, value in example for line in _wrapped(label, value)]
    return "\n".join(lines)


def drawn(comparison: Comparison) -> Any:
    """Draw for a terminal of any width."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    numbers = Table.grid(padding=(0, 2))
    for name, change, note in figures(comparison):
        numbers.add_row(Text(name, style="bold"), Text(change), Text(note, style="dim"))
    parts: list[Any] = [numbers]
    for example in examples(comparison):
        table = Table.grid(padding=(0, 2))
        for label, value in example:
            table.add_row(Text(label, style="dim"), Text(value, style=_STYLES.get(label, "")))
        parts += [Text(), table]
    return Group(*parts)


_STYLES = {"prompt": "dim", "tuned": "bold"}


def html(comparison: Comparison) -> str:
    """Write tables for a notebook."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>"
        f"{escape(change)}</td><td style='text-align:left'>{escape(note)}</td></tr>"
        for name, change, note in figures(comparison)
    )
    tables = [f"<table>{rows}</table>"]
    for example in examples(comparison):
        cells = "".join(
            f"<tr><th style='text-align:left'>{escape(label)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for label, value in example
        )
        tables.append(f"<table>{cells}</table>")
    return "".join(tables)


def _change(base: float | None, tuned: float | None, note: str = "") -> tuple[str, str]:
    written = " -> ".join(_number(value) for value in (base, tuned))
    if base is not None and tuned is not None and base > 0:
        written += f" ({100 * (tuned / base - 1):+.1f} %)"
    return written, note


def _number(value: float | None) -> str:
    if value is None:
        return "not finite"
    return f"{value:.2f}" if value < 1000 else f"{value:.3g}"


def _proportion(base: float, tuned: float, count: int) -> tuple[str, str]:
    intervals = " -> ".join(_interval(share, count) for share in (base, tuned))
    return f"{_percent(base)} -> {_percent(tuned)}", f"n = {count}; 95 %: {intervals}"


def _interval(share: float, count: int) -> str:
    low, high = wilson(round(share * count), count)
    return f"{100 * low:.0f}-{100 * high:.0f} %"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _head(value: str) -> str:
    shown = " ".join(printable(value).split()) or "(nothing)"
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 4] + " ..."


def _tail(value: str) -> str:
    shown = " ".join(printable(value).split())
    return shown if len(shown) <= _LONGEST else "... " + shown[4 - _LONGEST :]


def _wrapped(label: str, value: str) -> list[str]:
    lines = textwrap.wrap(value, _WIDTH - _LABEL)
    return [f"{label if n == 0 else '':<{_LABEL}}{line}" for n, line in enumerate(lines)]
