"""The error that a failed run raises."""

from __future__ import annotations

import contextlib

from tunekit import errors
from tunekit.backends import registry
from tunekit.store import Record


def failure(entry: Record) -> errors.RunFailed:
    """Say why it failed, how its log ends, and what to do."""
    kind = errors.Diverged if entry.error == "Diverged" else errors.RunFailed
    text = f"{entry.id} failed: {entry.reason or 'no reason was given'}"
    log = entry.log.strip()
    if log:
        text += f"\n  the log ends with: {log.splitlines()[-1][:200]}"
    with contextlib.suppress(errors.TunekitError):
        if registry.resolve(entry.backend).capabilities.resume:
            text += (
                f"\n  `tunekit logs {entry.id}` shows it all; `tunekit resume {entry.id}` goes on"
            )
    return kind(text, run_id=entry.id, reason=entry.reason, log=entry.log)
