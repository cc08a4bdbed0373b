"""A rich console that no text from data, models or logs can command."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from tunekit.printable import printable

_PIPE_WIDTH = 160
"""Columns where there is no terminal: wide enough that ids are never cut."""


class Screen(Console):
    """Print like rich, but take escape sequences out of every text; styles stay."""

    def __init__(self, *, stderr: bool = False, **settings: Any) -> None:
        super().__init__(stderr=stderr, highlight=False, emoji=False, **settings)
        if not self.is_terminal:
            self.width = max(self.width, _PIPE_WIDTH)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render, then clean each piece of text."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(printable(text), style)
