"""A process that dies in the middle: at the k-th call to the system, counted in this process."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

_CALLS: tuple[tuple[Any, str], ...] = (
    (os, "open"),
    (os, "fsync"),
    (os, "replace"),
    (os, "unlink"),
    (os, "mkdir"),
    (socket.socket, "connect"),
    (socket.socket, "sendall"),
    (socket.socket, "send"),
    (socket.socket, "recv"),
)


class Died(BaseException):
    """The process is gone: nothing that would have come after this happens."""


class Deaths:
    """Let the calls of the client's threads fail at number `at`, and count them."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.count = 0
        self.happened = False
        self._lock = threading.Lock()

    def call(self) -> None:
        # The server answers in threads of its own, which do not die.
        if threading.current_thread().name.startswith("Thread-"):
            return
        with self._lock:
            if self.happened:
                raise Died
            self.count += 1
            if self.count == self.at:
                self.happened = True
                raise Died


@contextlib.contextmanager
def dying(at: int | None) -> Iterator[Deaths]:
    """Die at the call number `at`; from then on every call fails, as after a kill."""
    deaths = Deaths(at)
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in _CALLS:
            patch.setattr(owner, name, _counted(getattr(owner, name), deaths))
        yield deaths


def _counted(call: Callable[..., Any], deaths: Deaths) -> Callable[..., Any]:
    def counted(*args: Any, **kwargs: Any) -> Any:
        # An event loop wakes itself through a pair of sockets; that is no step of a submission.
        if not (args and getattr(args[0], "family", None) == socket.AF_UNIX):
            deaths.call()
        return call(*args, **kwargs)

    return counted
