"""What can go wrong between a client and a provider, by name, in an order that a seed decides."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Mapping
from typing import Literal, get_args

Fault = Literal[
    "lost-before",
    "lost-after",
    "500-before",
    "500-after",
    "502-html-after",
    "429",
    "409",
    "200-html-after",
    "truncated-after",
    "drip",
]
"""`before`: the request was not carried out; `after`: it was, and the answer is bad.

`lost`: the connection is closed without an answer. `truncated`: the answer breaks off.
`drip`: one byte every tenth of a second, for ever.
"""

NAMES: tuple[Fault, ...] = get_args(Fault)

HARSH: Mapping[Fault | None, int] = {
    None: 40,
    "lost-after": 12,
    "lost-before": 8,
    "500-after": 8,
    "500-before": 6,
    "502-html-after": 5,
    "429": 8,
    "409": 3,
    "200-html-after": 5,
    "truncated-after": 5,
}
"""Six answers in ten are faulty; the weights are those under which SDKs were compared."""


class Faults:
    """Decide for each request whether it goes well.

    Requests are named `METHOD /path`; a rule holds for those that begin with its name, or, if the
    name ends with `$`, for those of exactly this name.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queued: dict[str, deque[Fault | None]] = {}
        self._weighted: dict[str, tuple[random.Random, Mapping[Fault | None, int]]] = {}

    def order(self, request: str, *faults: Fault | None) -> None:
        """Let the next requests of this name go wrong in this way, one after the other."""
        with self._lock:
            self._queued.setdefault(request, deque()).extend(faults)

    def weigh(self, request: str, weights: Mapping[Fault | None, int], *, seed: int) -> None:
        """Let requests of this name go wrong by chance; None is the weight of going well."""
        with self._lock:
            self._weighted[request] = (random.Random(seed), weights)

    def clear(self) -> None:
        """Let everything go well."""
        with self._lock:
            self._queued.clear()
            self._weighted.clear()

    def next(self, request: str) -> Fault | None:
        """Say what happens to this request."""
        with self._lock:
            for name, queue in self._queued.items():
                if named(request, name) and queue:
                    return queue.popleft()
            for name, (chance, weights) in self._weighted.items():
                if named(request, name):
                    return chance.choices(list(weights), list(weights.values()))[0]
        return None


def named(request: str, name: str) -> bool:
    """Whether a request begins with a name, or is it, if the name ends with `$`."""
    return request == name[:-1] if name.endswith("$") else request.startswith(name)
