"""Look into answers that may lack anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def look(content: Any, *path: str) -> Any:
    """Give what lies at the end of the keys, None where one is missing or no object is there."""
    for name in path:
        if not isinstance(content, Mapping):
            return None
        content = cast("Mapping[str, Any]", content).get(name)
    return content


def table(content: Any, *path: str) -> Mapping[str, Any]:
    """Give the object at the end of the keys, an empty one where there is none."""
    found = look(content, *path)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def items(content: Any, *path: str) -> list[Any]:
    """Give the list at the end of the keys, an empty one where there is none."""
    found = look(content, *path)
    return [*found] if isinstance(found, list) else []
