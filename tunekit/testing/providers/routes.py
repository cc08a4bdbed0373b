"""Which function answers which request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tunekit.testing.providers.checks import Refused
from tunekit.testing.providers.server import Reply, Request

Handler = Callable[..., Reply]
"""Takes the request, and a string for each `{}` of its route."""


class Routes:
    """A table of `METHOD /path/{}/...`."""

    def __init__(self, table: Mapping[str, Handler]) -> None:
        self._table = [(_pattern(name), handler) for name, handler in table.items()]

    def answer(self, request: Request) -> Reply:
        """Let the first function whose route fits answer.

        Raises:
            Refused: 404, nothing fits.
        """
        for pattern, handler in self._table:
            match = pattern.fullmatch(request.name)
            if match:
                return handler(request, *match.groups())
        raise Refused(404, f"no such route: {request.name}")


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name).replace(r"\{\}", "([^/]+)"))
