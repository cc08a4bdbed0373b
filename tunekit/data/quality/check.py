"""What a check of quality is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from tunekit.data.issues import Issue
from tunekit.data.rows import Row


class Check(Protocol):
    """Looks at every row once, in order, and speaks of rows or of the whole.

    The severity of what it gives is set afterwards, by the catalogue and the spec.
    """

    def add(self, row: Row) -> Iterator[Issue]:
        """Give what is wrong with this row, as far as it can be told by now."""
        ...

    def close(self) -> Iterator[Issue]:
        """Give what only the whole shows."""
        ...
