"""The portions of a step, made to few passes: neighbours that fit in one are joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Batch = dict[str, Any]


def joined(
    portions: Sequence[Batch],
    *,
    most: int,
    tokens: Callable[[Batch], int],
    cat: Callable[[Sequence[Batch]], Batch],
) -> list[Batch]:
    """Join neighbours up to so many tokens; as many portions as before, empty ones first.

    Args:
        portions: Of a step, at least one.
        most: Tokens of a joined one; a portion that has more stays alone.
        tokens: Counts those of a portion.
        cat: Makes one of several.
    """
    groups: list[list[Batch]] = []
    held = 0
    for portion in portions:
        size = tokens(portion)
        if not groups or held + size > most:
            groups.append([])
            held = 0
        groups[-1].append(portion)
        held += size
    found = [cat(group) for group in groups]
    empty = {"input_ids": portions[0]["input_ids"][:, :0]}
    return [*[empty] * (len(portions) - len(found)), *found]
