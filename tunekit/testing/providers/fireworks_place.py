"""Where a request goes: account, collection, id and verb, as Fireworks' addresses have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from tunekit.testing.providers.fireworks_errors import Refusal, invalid
from tunekit.testing.providers.server import Reply, Request

TIME = "2026-08-01T10:00:00Z"
"""When everything happens here."""

_PLACE = re.compile(
    r"/v1/accounts/(?P<account>[^/:]+)/(?P<collection>[^/:]+)"
    r"(?:/(?P<id>[^/:]+)(?:/checkpoints(?P<inner>)(?:/(?P<checkpoint>[^/:]+))?)?)?"
    r"(?::(?P<verb>[A-Za-z]+))?"
)
_PAGE, _LARGEST_PAGE = 50, 200


class Place(NamedTuple):
    """A parsed address; empty strings where it has no such part."""

    account: str
    collection: str
    id: str = ""
    checkpoint: str = ""
    verb: str = ""
    has_checkpoints: bool = False

    @property
    def name(self) -> str:
        """`accounts/A/COLLECTION/ID`."""
        return f"accounts/{self.account}/{self.collection}/{self.id}"


def place_of(request: Request) -> Place:
    """Parse the address.

    Raises:
        Refusal: NOT_FOUND if nothing lies there.
    """
    match = _PLACE.fullmatch(request.path)
    if match is None:
        raise Refusal("NOT_FOUND", f"no such path: {request.path}")
    parts = {name: unquote(value or "") for name, value in match.groupdict().items()}
    return Place(
        parts["account"],
        parts["collection"],
        parts["id"],
        parts["checkpoint"],
        parts["verb"],
        match["inner"] is not None,
    )


def paged(request: Request, key: str, items: Sequence[Any]) -> Reply:
    """Answer with one page; the token says where the next begins, and is empty at the end."""
    size = request.query.get("pageSize", "")
    start = request.query.get("pageToken", "")
    if not re.fullmatch(r"\d*", size):
        raise invalid("pageSize", f"{size!r} is not a number")
    if start and not re.fullmatch(r"t\d+", start):
        raise invalid("pageToken", f"{start!r} was not given out here")
    first = int(start[1:]) if start else 0
    after = first + min(int(size or 0) or _PAGE, _LARGEST_PAGE)
    more = f"t{after}" if after < len(items) else ""
    return Reply({key: items[first:after], "nextPageToken": more, "totalSize": len(items)})
