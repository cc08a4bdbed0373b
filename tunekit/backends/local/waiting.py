"""How long the threads of a worker look for work before they sleep."""

from __future__ import annotations

import os
import re
from pathlib import Path

SPINS = 20_000
"""Looks at a barrier before a thread sleeps, about a tenth of a millisecond: longer than the gap
between two operations, shorter than the time that another program gets."""
_WAITS = 25.0
"""Per cent of the last ten seconds in which programs waited for a processor."""


def spins(*, root: Path = Path("/")) -> int:
    """Give `GOMP_SPINCOUNT` for a machine as it is now: 0 where programs wait for processors.

    A sleeping thread takes tens of microseconds to wake, for every operation; one that looks for
    work takes the processor from whoever else could use it.
    """
    pressure = _pressure(root)
    if pressure is None:
        return 0
    return SPINS if pressure < _WAITS else 0


def _pressure(root: Path) -> float | None:
    """Read how much programs wait (Linux, PSI), or guess it from the load; None if unknown."""
    try:
        said = (root / "proc" / "pressure" / "cpu").read_text()
        found = re.search(r"some avg10=([\d.]+)", said)
        if found:
            return float(found[1])
    except OSError:
        pass
    if not hasattr(os, "getloadavg"):
        return None
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    return 100.0 * max(0.0, load / processors - 1)
