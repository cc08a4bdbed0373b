"""What an adapter is, on one screen."""

from __future__ import annotations

import time
from html import escape
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tunekit.printable import printable

_SHOWN = 8


class Description(BaseModel):
    """Method, size, base and history of an adapter or a full model; None where not known."""

    model_config = ConfigDict(frozen=True)

    folder: str
    kind: Literal["adapter", "model"]
    method: str | None = None
    rank: int | None = None
    alpha: float | None = None
    targets: tuple[str, ...] = ()
    """Kinds of layers that were changed, by the last part of their names."""
    parameters: int
    """Numbers stored in the folder."""
    base: str | None = None
    data: dict[str, str] = {}
    """sha256 of the files it was trained and measured on."""
    run_id: str | None = None
    created: float | None = None
    """When its training ended, seconds since 1970."""
    tunekit: str | None = None
    """Version that trained it."""
    warnings: tuple[str, ...] = ()
    """What is odd, but no reason to refuse it."""

    def facts(self) -> list[tuple[str, str]]:
        """List what is known, in order, as text."""
        lines = [
            (self.kind, self.folder),
            ("method", self._method()),
            ("targets", _some(self.targets)),
            ("parameters", f"{self.parameters:,}"),
            ("base", self.base or ""),
            ("data", ", ".join(f"{name} {digest[:12]}" for name, digest in self.data.items())),
            ("trained", self._trained()),
            *(("warning", text) for text in self.warnings),
        ]
        return [(name, printable(value)) for name, value in lines if value]

    def _method(self) -> str:
        parts = [self.method or ""]
        if self.rank is not None:
            parts.append(f"rank {self.rank}")
        if self.alpha is not None:
            parts.append(f"alpha {self.alpha:g}")
        return ", ".join(filter(None, parts))

    def _trained(self) -> str:
        if self.created is None:
            return ""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.created))
        return f"{when} in run {self.run_id}, tunekit {self.tunekit or 'of unknown version'}"

    def __str__(self) -> str:
        return "\n".join(f"{name:<10} {value}" for name, value in self.facts())

    def __rich__(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for name, value in self.facts():
            table.add_row(Text(name, style="dim"), Text(value))
        return table

    def html(self) -> str:
        """Write the facts as a table for a notebook."""
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for name, value in self.facts()
        )
        return f"<table>{rows}</table>"

    _repr_html_ = html


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
