"""Which held-out rows are not independent of each other."""

from __future__ import annotations

from collections.abc import Sequence

from tunekit.data.near import Near
from tunekit.data.rows import Row
from tunekit.data.words import own


def clusters(rows: Sequence[Row]) -> list[int]:
    """Give the number of each row's cluster: near copies, and the same words, share one."""
    near = Near()
    for row in rows:
        near.add(own(row))
    found = list(range(len(rows)))
    for cluster in near.clusters():
        for member in cluster:
            found[member] = cluster[0]
    return found
