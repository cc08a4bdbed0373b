"""Going on when a service does not answer: the job goes on too."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

from tunekit.errors import BackendDown

QUIET = 1800.0
"""Seconds without an answer after which waiting ends; the job goes on."""


class Patience:
    """Ask again and again; say once that nothing comes."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._since: float | None = None

    def look(self, ask: Callable[[], object]) -> bool:
        """Ask once, and say whether there was an answer.

        Raises:
            BackendDown: there was none for half an hour.
        """
        try:
            ask()
        except BackendDown as error:
            self._quiet(error)
            return False
        self._since = None
        return True

    def _quiet(self, error: BackendDown) -> None:
        if self._since is None:
            self._since = time.monotonic()
            warnings.warn(f"{self._run_id}: {error}; still asking, the job goes on", stacklevel=4)
        elif time.monotonic() - self._since > QUIET:
            raise BackendDown(
                f"{error}. There was no answer for {QUIET / 60:.0f} minutes; the job goes on: "
                f"`tunekit wait {self._run_id}`",
                backend=error.backend,
            ) from None
