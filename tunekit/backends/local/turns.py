"""Greenlets that take turns: one runs at a time, in a world of its own.

Trainers of transformers draw from the generators of the whole process and share what accelerate
and torch keep for it. Each finds all of that as it has left it, so it cannot tell that it is not
alone. Threads would do as well, were it not that each gets a pool of OpenMP's: with more pool
threads than processors none of them waits for work for long, and products take a third longer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast

from greenlet import getcurrent, greenlet


class World:
    """Random generators, torch's modes and accelerate's state, as one trainer has left them."""

    def __init__(self) -> None:
        self._left: tuple[Any, ...] | None = None

    @contextmanager
    def entered(self) -> Generator[None, None, None]:
        """Be in this world inside the block; at first it is as it was found."""
        outside = _modes()
        if self._left is not None:
            _put(self._left)
        try:
            yield
        finally:
            self._left = _taken()
            _set_modes(outside)


class Player:
    """Work that goes on only in its turns.

    A turn ends when the work asks for something or is over; with the next one it gets an answer.
    """

    asked: Any = None
    """What it waits for."""
    over: bool = False

    def __init__(self, work: Callable[[], None], world: World) -> None:
        self._work, self._world = work, world
        self._play = greenlet(self._run)
        self._answer: Any = None
        self._error: Exception | None = None

    def turn(self, answer: Any = None, *, error: Exception | None = None) -> None:
        """Give an answer, or raise an error where it was asked for; returns at the turn's end."""
        self._answer, self._error = answer, error
        with self._world.entered():
            self._play.parent = getcurrent()
            self._play.switch()

    def ask(self, what: Any) -> Any:
        """End the turn, from inside the work; gives the answer at the beginning of the next."""
        self.asked = what
        cast("greenlet", self._play.parent).switch()
        self.asked = None
        if self._error is not None:
            raise self._error
        answer, self._answer = self._answer, None
        return answer

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self.over = True


def _taken() -> tuple[Any, ...]:
    import numpy as np
    import torch

    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    numbers = (random.getstate(), np.random.get_state(), torch.get_rng_state(), devices)
    return (*numbers, dict(_gradient_state()), _modes())


def _put(left: tuple[Any, ...]) -> None:
    import numpy as np
    import torch

    plain, arrays, tensors, devices, shared, modes = left
    random.setstate(plain)
    np.random.set_state(arrays)
    torch.set_rng_state(tensors)
    if devices is not None:
        torch.cuda.set_rng_state_all(devices)
    held = _gradient_state()
    held.clear()
    held.update(shared)
    _set_modes(modes)


def _modes() -> tuple[bool, list[tuple[str, bool, Any]]]:
    """Say whether gradients are kept, and what is cast on each kind of device."""
    import torch

    kinds = ("cpu", "cuda")
    casts = [(k, torch.is_autocast_enabled(k), torch.get_autocast_dtype(k)) for k in kinds]
    return torch.is_grad_enabled(), casts


def _set_modes(modes: tuple[bool, list[tuple[str, bool, Any]]]) -> None:
    import torch

    keeps, casts = modes
    torch.set_grad_enabled(keeps)
    for kind, enabled, dtype in casts:
        torch.set_autocast_enabled(kind, enabled)
        torch.set_autocast_dtype(kind, dtype)


def _gradient_state() -> dict[str, Any]:
    """Give what accelerate's GradientStates have in common: one per process, by its design."""
    state: Any = import_module("accelerate.state").GradientState
    found: dict[str, Any] = state._shared_state
    return found
