"""Rows in, rows out; never loads a model.

What the command line does with data, for scripts: `check`, `preview`, `convert`, `split`, `stats`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "check": "tunekit.data.report",
    "preview": "tunekit.data.previewing",
    "convert": "tunekit.data.converting",
    "split": "tunekit.data.parting",
    "stats": "tunekit.data.figures",
}

__all__ = ["check", "convert", "preview", "split", "stats"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tunekit.data' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


if TYPE_CHECKING:
    from tunekit.data.converting import convert
    from tunekit.data.figures import stats
    from tunekit.data.parting import split
    from tunekit.data.previewing import preview
    from tunekit.data.report import check
