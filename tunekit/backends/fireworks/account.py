"""One account at Fireworks: what belongs to it, under names that are given once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunekit.backends.answer import Conflict, NotFound, Unsure
from tunekit.backends.fireworks.look import items
from tunekit.backends.http import Http
from tunekit.errors import BackendDown

_SENDS = 4


@dataclass(frozen=True)
class Account:
    """Address things as `accounts/ID/COLLECTION/KEY`."""

    http: Http
    id: str

    def name(self, collection: str, key: str) -> str:
        """Give the full name of a thing."""
        return f"accounts/{self.id}/{collection}/{key}"

    def get(self, name: str, **query: Any) -> dict[str, Any]:
        """Describe a thing by its full name."""
        return self.http.get(f"/v1/{name}", **query)

    def find(self, name: str) -> dict[str, Any] | None:
        """Describe a thing; None when there is none."""
        try:
            return self.get(name)
        except NotFound:
            return None

    def act(self, name: str, verb: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Do something to a thing that may be done twice."""
        return self.http.post(f"/v1/{name}:{verb}", dict(content or {}), idempotent=True)

    def ensure(
        self, name: str, content: Mapping[str, Any], query: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Make a thing under its name, or give the one that has the name.

        Raises:
            BackendDown: it could not be made and is not there.
        """
        collection = name.rpartition("/")[0]
        for _ in range(_SENDS):
            try:
                made = self.http.call(
                    "POST", f"/v1/{collection}", query=query, send=dict(content), idempotent=False
                ).object()
            except (Unsure, Conflict):
                made = self.find(name) or {}
            if made.get("name") == name:
                return made
        raise BackendDown(
            f"fireworks: {name} could not be made; try again later", backend="fireworks"
        )

    def listed(self, collection: str) -> list[dict[str, Any]]:
        """List all of a kind."""
        found: list[dict[str, Any]] = []
        token: str | None = None
        while True:
            page = self.get(f"accounts/{self.id}/{collection}", pageSize=200, pageToken=token)
            found += [one for one in items(page, collection) if isinstance(one, dict)]
            token = page.get("nextPageToken") or None
            if token is None:
                return found
