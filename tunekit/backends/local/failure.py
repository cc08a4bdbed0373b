"""Why a job did not succeed, in words that say what to do."""

from __future__ import annotations

import errno

from tunekit.errors import Diverged, TunekitError
from tunekit.events import JobState

OUT_OF_MEMORY = (
    "ran out of memory; lower training.max_length or training.batch_size, set "
    "training.gradient_checkpointing: true, or use method: qlora"
)

_MEMORY = ("out of memory", "can't allocate memory", "bad_alloc", "cannot allocate memory")


class Stopped(Exception):
    """The job was asked to stop, and did so after saving its state."""

    def __init__(self, state: JobState, reason: str = "") -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


def explain(error: Exception) -> tuple[str, str]:
    """Give the reason, and the name of the error class that the parent raises for it."""
    if isinstance(error, Diverged):
        return str(error), "Diverged"
    if isinstance(error, TunekitError):
        return str(error), type(error).__name__
    if is_memory(error):
        return OUT_OF_MEMORY, "OutOfMemory"
    text = str(error).strip() or "no message"
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or "No space left" in text:
        return f"the disk is full ({text}); free some space and resume", "DiskFull"
    return f"{type(error).__name__}: {text}", type(error).__name__


def is_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on any device."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _MEMORY)
