"""What was asked of a backend, for the gate to compare with what came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["adapter", "model"]
Targets = tuple[str, ...] | Literal["all-linear"]


@dataclass(frozen=True)
class Asked:
    """The part of a spec that can be seen in the weights."""

    kind: Kind
    base: str
    """Model id as the spec names it."""
    rank: int | None = None
    """Of a LoRA; None where any will do."""
    target_modules: Targets | None = None
    """Names of layers by their last part; "all-linear": attention and MLP, not the head."""
    layers: int | None = None
    """Blocks of the base, where known: needed only if the base is not on this machine."""
