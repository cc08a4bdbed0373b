"""What a method asks of the worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tunekit.planning.ledger import Ledger


@dataclass(frozen=True)
class Found:
    """A method as the request has it."""

    peft: dict[str, Any] | None
    """`peft_type` and the arguments of that config of PEFT; None for full fine-tuning."""
    own: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the worker does beside the config: an init from data, an optimizer, frozen blocks."""


def targets(use: Ledger) -> str | list[str]:
    """Take the layers of a method."""
    asked = use.take("method.target_modules")
    return asked if isinstance(asked, str) else list(asked)


def given(**values: Any) -> dict[str, Any]:
    """Keep what is not None."""
    return {name: value for name, value in values.items() if value is not None}
