"""Exit codes, and how an error becomes one."""

from __future__ import annotations

from tunekit import errors

OK = 0
FAILED = 1
USAGE = 2
REFUSED = 3
CREDENTIALS = 4
TIMEOUT = 5
CANCELLED = 6
GATE = 7
INTERNAL = 70
INTERRUPTED = 130

MEANINGS = {
    OK: "ok",
    FAILED: "the run failed, or its result cannot be trusted",
    USAGE: "wrong usage, spec or data; no such run",
    REFUSED: "the backend refuses, is unknown, lacks a package or does not answer",
    CREDENTIALS: "credentials or quota",
    TIMEOUT: "stopped waiting; the job goes on",
    CANCELLED: "the run was cancelled",
    GATE: "the run has succeeded, and its gate does not hold",
    INTERNAL: "a fault in tunekit",
    INTERRUPTED: "Ctrl-C; the job goes on",
}

_CODES: tuple[tuple[type[errors.TunekitError], int], ...] = (
    (errors.SpecError, USAGE),
    (errors.CredentialsError, CREDENTIALS),
    (errors.QuotaError, CREDENTIALS),
    (errors.BackendError, REFUSED),
    (errors.RunTimeout, TIMEOUT),
    (errors.RunCancelled, CANCELLED),
    (errors.RunFailed, FAILED),
    (errors.RunError, USAGE),
)
"""The first class that fits counts."""


def code(error: errors.TunekitError) -> int:
    """Give the exit code for an error."""
    return next((number for kind, number in _CODES if isinstance(error, kind)), FAILED)
