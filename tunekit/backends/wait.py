"""Wait for something at a service that is being made ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tunekit.errors import BackendError

Told = TypeVar("Told")


def until(
    ready: Callable[[Told], bool],
    look: Callable[[], Told],
    *,
    pause: float,
    patience: float,
    late: Callable[[Told], BackendError],
    seen: Told | None = None,
) -> Told:
    """Look, again and again, until it is ready; gives the last look.

    Args:
        ready: Judges a look; raises where it will never be ready.
        look: Asks the service.
        pause: Seconds between two looks.
        patience: Seconds after which it is given up; there is one look at least.
        late: Makes the error that says so, of the last look.
        seen: A first look that was taken already.
    """
    end = time.monotonic() + patience
    told = look() if seen is None else seen
    while not ready(told):
        if time.monotonic() >= end:
            raise late(told)
        time.sleep(pause)
        told = look()
    return told
