"""How a loopback Together behaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunekit.testing.providers.archive import ArchiveKind, default_kind
from tunekit.testing.providers.together_jobs import Outcome

CREDIT = 100.0
"""Dollars that the account may spend on one job."""


@dataclass(frozen=True)
class Settings:
    """What a test decides."""

    key: str = "test-key"
    ticks: int = 1
    """How many looks at a job take it one state further; 0: the first look finds it over."""
    lag: int = 0
    """How many list calls a new job does not appear in."""
    price: float = 1.25
    """Dollars for any job."""
    limits: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What differs from the usual limits of a model; a group changes only by the keys named."""
    models: frozenset[str] | None = None
    """The base models that are known; None: all."""
    outcome: Outcome = "completed"
    adapter: Path | None = None
    """A folder with the adapter that jobs make; None: one is made up."""
    base: Path | None = None
    """A folder with the base model that made-up results fit; None: a model of one tiny layer."""
    archive: ArchiveKind = field(default_factory=default_kind)
    redirect: int | None = None
    """Downloads answer with this status and a signed address; None: with the bytes."""
