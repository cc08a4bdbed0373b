"""Reading Together's answers without trusting them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, cast
from urllib.parse import quote

from tunekit.backends.secret import hide
from tunekit.errors import BackendDown
from tunekit.printable import printable

Told = Mapping[str, Any]


def text(told: Told, name: str) -> str:
    """Give a text, "" where there is none; never one that commands a terminal or shows a key."""
    found = told.get(name)
    return printable(hide(found)) if isinstance(found, str) else ""


def number(told: Told, name: str) -> float | None:
    """Give a number, None where there is none."""
    found = told.get(name)
    return found if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def part(told: Told, name: str) -> Told:
    """Give an object within, an empty one where there is none."""
    found = told.get(name)
    return cast("Told", found) if isinstance(found, Mapping) else {}


def items(told: Told, name: str) -> list[Told]:
    """Give the objects of a list.

    Raises:
        BackendDown: there is no such list; the answer is not the one that was asked for.
    """
    if not isinstance(told.get(name), list):
        raise unreadable(f"it has no list {name!r}")
    return [cast("Told", item) for item in anything(told[name]) if isinstance(item, Mapping)]


def anything(found: Any) -> Sequence[Any]:
    """Give a list, an empty one where it is none."""
    return cast("Sequence[Any]", found) if isinstance(found, list) else ()


def some(told: Told, name: str) -> list[Told]:
    """Give the objects of a list that need not be there."""
    return items(told, name) if told.get(name) is not None else []


def unreadable(why: str) -> BackendDown:
    """Make the error of an answer that cannot be made sense of."""
    return BackendDown(
        f"together: an answer cannot be read ({why}); try again later", backend="together"
    )


def seconds(told: Told, name: str) -> float:
    """Give a time as seconds since 1970, 0 where there is none."""
    found = told.get(name)
    try:
        moment = datetime.fromisoformat(str(found).replace("Z", "+00:00"))
    except ValueError:
        return 0.0
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()


def path(*parts: str) -> str:
    """Join a path; a part cannot leave its place in it."""
    return "/" + "/".join(quote(piece, safe="") for piece in parts)
