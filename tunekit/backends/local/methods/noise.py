"""What PEFT warns of and the worker has seen to, or cannot change."""

from __future__ import annotations

import warnings

_KNOWN = (
    # What EVA begins with is computed once the adapter is on the model.
    "lora with eva initialization",
    # BOFT asks for a compiler; the plan has said what follows from there being none.
    "Failed to load the CUDA extension",
    "Setting boft_n_butterfly_factor",
    # PEFT knows the sizes of linear layers, and LN tuning adapts none.
    "Unsupported layer type",
    # Virtual tokens stand before those of the row, whose positions count from there.
    "Position ids are not supported",
)


def silence() -> None:
    """Let none of it into the log, or into an error where warnings are errors."""
    for message in _KNOWN:
        warnings.filterwarnings("ignore", message)
