"""A server that lists jobs as it is told."""

from __future__ import annotations

from typing import Any

from tunekit.testing.providers.server import LoopbackServer, Reply, Request


class Listing(LoopbackServer):
    def __init__(self, jobs: list[dict[str, Any]] | None) -> None:
        super().__init__()
        self._jobs = jobs

    def answer(self, request: Request) -> Reply:
        return Reply({"data": self._jobs})
