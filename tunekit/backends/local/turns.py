"""Threads that take turns: one runs at a time, in a world of its own.

Trainers of transformers draw from the generators of the whole process and share what accelerate
keeps for it. Each thread finds all of that as it has left it, so it cannot tell that it is not
alone.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


class World:
    """The random generators, and accelerate's state of gradients, as one thread has left them."""

    def __init__(self) -> None:
        self._left: tuple[Any, ...] | None = None

    @contextmanager
    def entered(self) -> Generator[None, None, None]:
        """Be in this world inside the block; at first it is as it was found."""
        if self._left is not None:
            _put(self._left)
        try:
            yield
        finally:
            self._left = _taken()


class Player:
    """A thread that runs only in its turns.

    A turn ends when the thread asks for something or is over; with the next one it gets an answer.
    """

    asked: Any = None
    """What it waits for."""
    over: bool = False

    def __init__(self, work: Callable[[], None], world: World) -> None:
        self._work, self._world = work, world
        self._mine, self._yours = threading.Semaphore(0), threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._answer: Any = None
        self._error: Exception | None = None
        self._fault: BaseException | None = None

    def turn(self, answer: Any = None, *, error: Exception | None = None) -> None:
        """Give an answer, or raise an error where it was asked for, and wait for the turn's end."""
        self._answer, self._error = answer, error
        with self._world.entered():
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            else:
                self._mine.release()
            self._yours.acquire()
        if self._fault is not None:
            raise self._fault

    def ask(self, what: Any) -> Any:
        """End the turn, from inside the thread; gives the answer at the beginning of the next."""
        self.asked = what
        self._yours.release()
        self._mine.acquire()
        self.asked = None
        if self._error is not None:
            raise self._error
        answer, self._answer = self._answer, None
        return answer

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as fault:
            self._fault = fault
        finally:
            self.over = True
            self._yours.release()


def _taken() -> tuple[Any, ...]:
    import numpy as np
    import torch

    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    numbers = (random.getstate(), np.random.get_state(), torch.get_rng_state(), devices)
    return (*numbers, dict(_gradient_state()))


def _put(left: tuple[Any, ...]) -> None:
    import numpy as np
    import torch

    plain, arrays, tensors, devices, shared = left
    random.setstate(plain)
    np.random.set_state(arrays)
    torch.set_rng_state(tensors)
    if devices is not None:
        torch.cuda.set_rng_state_all(devices)
    held = _gradient_state()
    held.clear()
    held.update(shared)


def _gradient_state() -> dict[str, Any]:
    """Give what accelerate's GradientStates have in common: one per process, by its design."""
    state: Any = import_module("accelerate.state").GradientState
    found: dict[str, Any] = state._shared_state
    return found
