"""The events of a run, for `for` and for `async for`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator

from tunekit.events import Event
from tunekit.store import RunFolder


class EventStream:
    """Everything a run has said, then what it says, until it is over."""

    def __init__(
        self, folder: RunFolder, *, refresh: Callable[[], bool], pause: float, follow: bool
    ) -> None:
        """Make a stream; `refresh` polls once and says whether the run is over."""
        self._folder = folder
        self._refresh = refresh
        self._pause = pause
        self._follow = follow
        self._position = 0

    def __iter__(self) -> Iterator[Event]:
        over = False
        while True:
            yield from self._unread()
            if over or not self._follow:
                return
            over = self._refresh()
            if not over and not self._news():
                time.sleep(self._pause)

    async def __aiter__(self) -> AsyncIterator[Event]:
        over = False
        while True:
            for event in self._unread():
                yield event
            if over or not self._follow:
                return
            over = await asyncio.to_thread(self._refresh)
            if not over and not self._news():
                await asyncio.sleep(self._pause)

    def _unread(self) -> Iterator[Event]:
        for event, position in self._folder.events(self._position):
            self._position = position
            yield event

    def _news(self) -> bool:
        return next(self._folder.events(self._position), None) is not None
