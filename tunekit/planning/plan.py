"""What a backend would do with a spec: the native request and every change to it."""

from __future__ import annotations

import warnings
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tunekit.errors import UnsupportedError


class Change(BaseModel):
    """One field of the spec that does not go to the backend just as it was written."""

    model_config = ConfigDict(frozen=True)

    field: str
    """Dotted place in the spec."""
    outcome: Literal["auto", "adapted", "dropped", "unsupported"]
    asked: Any = None
    used: Any = None
    reason: str
    source: str = ""
    """Paper, document or limit behind an automatic value."""


class Estimate(BaseModel):
    """A figure about the run, before it has begun."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    unit: str
    reason: str


class Plan(BaseModel):
    """The translation of a spec for one backend.

    `request` is exactly what the backend gets; it and everything here is JSON.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    backend: str
    model: str
    summary: str = ""
    """Objective, method and rows, in a line."""
    request: dict[str, Any]
    changes: tuple[Change, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    warnings: tuple[str, ...] = ()
    max_cost: float | None = None
    """The most that may be spent, in US dollars, as far as somebody has agreed to anything."""

    @property
    def unsupported(self) -> tuple[Change, ...]:
        """The wishes that this backend cannot honour."""
        return tuple(change for change in self.changes if change.outcome == "unsupported")

    def used(self, field: str) -> Any:
        """Give the value used for a changed field, or None when it went as written."""
        return next((change.used for change in self.changes if change.field == field), None)

    def require(self, *, strict: bool = True) -> Plan:
        """Stop when something asked for cannot be had.

        Raises:
            UnsupportedError: every such field at once. With `strict=False` a warning instead.
        """
        if not self.unsupported:
            return self
        lines = [
            f"  - {change.field}: {change.asked!r}: {change.reason}" for change in self.unsupported
        ]
        text = f"{self.backend} cannot honour what the spec sets:\n" + "\n".join(lines)
        if strict:
            text += (
                "\nRemove these settings, choose another backend, or go on without them "
                "with strict=False (`--no-strict`)."
            )
            raise UnsupportedError(text, backend=self.backend, plan=self)
        warnings.warn(text, stacklevel=2)
        return self

    def __rich__(self) -> Any:
        from tunekit.planning.show import table

        return table(self)

    def __str__(self) -> str:
        from tunekit.planning.show import text

        return text(self)

    def _repr_html_(self) -> str:
        from tunekit.planning.show import html

        return html(self)
