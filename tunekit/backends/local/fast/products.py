"""Matrix products, cut into pieces of rows where the library does better with fewer at once.

oneDNN shares a product out over its threads by rules of thumb. For some numbers of rows one thread
then does all the work: a product of 800 rows with 576 columns takes as long on two threads as on
one, and 40 % less in two pieces (torch 2.13, Xeon with AMX). Which numbers these are depends on the
machine, so the products of a model are timed once on each and the times kept.
"""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import torch
from torch import Tensor

from tunekit.backends.local.fast.blocks import multiple
from tunekit.files import write_atomic

ROWS = (64, 128, 192, 256, 320, 384, 448, 512, 640, 768, 1024, 1280, 1536, 2048)
_GAIN = 0.95
"""Pieces must take at most this part of the time of the whole."""
_REPEATS = 3
_MOST_NUMBERS = 30_000_000
"""In a factor or the output of what is timed; more rows of a wide product are not."""


class Products:
    """Products in bfloat16 on a processor; `place` is the file that keeps the times."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._times: dict[str, list[float]] = _read(place)
        self._pieces: dict[tuple[int, int, int], int] = {}

    def mm(self, x: Tensor, y: Tensor, out: Tensor) -> None:
        """Write x y, in as many pieces of rows as are fastest.

        A few rows that stand behind those of x in memory are multiplied too where there are any in
        x and `out`: oneDNN compiles a product for each number of rows that it meets, which takes
        time and memory, and so it meets few.
        """
        rows = multiple(x.shape[0])
        if rows > x.shape[0] and _has(x, rows) and _has(out, rows):
            x, out = (each.as_strided((rows, each.shape[1]), each.stride()) for each in (x, out))
        rows = x.shape[0]
        key = (rows, y.shape[0], y.shape[1])
        if key not in self._pieces:
            self._pieces[key] = self._best(rows, y)
        step = -(-rows // self._pieces[key])
        for start in range(0, rows, step):
            torch.mm(x[start : start + step], y, out=out[start : start + step])

    def _best(self, rows: int, y: Tensor) -> int:
        """Give the number of pieces."""
        name = f"{y.shape[0]} x {y.shape[1]}"
        if name not in self._times:
            self._times[name] = _time(y)
            write_atomic(self._place, json.dumps(self._times))
        return pieces(rows, self._times[name])


def pieces(rows: int, times: list[float]) -> int:
    """Give the number of pieces that takes the least time, 1 unless others are clearly faster."""
    whole = _expect(rows, times)
    counts = range(2, -(-rows // ROWS[0]) + 1)
    found = {count: count * _expect(-(-rows // count), times) for count in counts}
    best = min(found, key=lambda count: found[count], default=1)
    return best if best > 1 and found[best] <= _GAIN * whole else 1


def _has(x: Tensor, rows: int) -> bool:
    """Say whether a matrix could have so many rows where it lies."""
    end = x.storage_offset() + (rows - 1) * x.stride(0) + x.shape[1]
    return bool(end * x.element_size() <= x.untyped_storage().nbytes())


def _expect(rows: int, times: list[float]) -> float:
    """Give the time of a product with so many rows, on straight lines between those known."""
    known = list(zip((0, *ROWS), (0.0, *times), strict=False))
    for (low, before), (high, after) in itertools.pairwise(known):
        if rows <= high:
            return before + (after - before) * (rows - low) / (high - low)
    (high, after) = known[-1]
    return after * rows / high


def _time(y: Tensor) -> list[float]:
    """Time products with y: the best of a few for each number of rows, in seconds.

    Counted is what this thread computes: it has its share of any product, and neither other
    programs nor a wait for other threads add to it.
    """
    found: list[float] = []
    for rows in ROWS:
        if found and rows * max(y.shape) > _MOST_NUMBERS:
            break
        x = torch.ones(rows, y.shape[0], dtype=y.dtype)
        out = y.new_empty(rows, y.shape[1])
        times: list[float] = []
        for _ in range(_REPEATS + 1):
            start = time.thread_time()
            torch.mm(x, y, out=out)
            times.append(time.thread_time() - start)
        found.append(min(times))
    return found


def _read(place: Path) -> dict[str, list[float]]:
    try:
        found: dict[str, list[float]] = json.loads(place.read_text())
    except (OSError, ValueError):
        return {}
    return found
