"""Keys and values of tokens that were read before, and attention that reads and adds to them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tunekit.backends.local.fast.attention import Attention, Reach, Split
from tunekit.backends.local.fast.operations import Operations
from tunekit.backends.local.fast.stream import Stream


class Cache:
    """What each layer knows of some rows; a row keeps its place when others have ended."""

    def __init__(self, rows: int, capacity: int) -> None:
        """Hold up to `capacity` tokens of each row."""
        self.rows, self.capacity = rows, capacity
        self.layers: list[tuple[Tensor, Tensor]] = []
        """Keys and values, [rows, groups, capacity, width]."""

    def fill(self, layer: int, split: Split, rows: Tensor, places: Tensor) -> None:
        """Take a layer's keys and values of some rows.

        `places` says where in the stream each row's tokens stand, [rows, longest].
        """
        if layer == len(self.layers):
            key, value = (self._room(each) for each in split[1:])
            self.layers.append((key, value))
        for held, each in zip(self.layers[layer], split[1:], strict=True):
            held[rows, :, : places.shape[1]] = each[:, places].transpose(0, 1)

    def _room(self, like: Tensor) -> Tensor:
        groups, _, width = like.shape
        return like.new_empty(self.rows, groups, self.capacity, width)


class Filling:
    """Attention over rows; the keys and values of some go into a cache, layer by layer."""

    def __init__(
        self, inner: Attention, cache: Cache, rows: Sequence[int], places: Sequence[Tensor]
    ) -> None:
        """Hold tokens, by where in the stream they stand, of rows by their numbers in the cache."""
        self._inner, self._cache = inner, cache
        self._places = pad_sequence(list(places), batch_first=True)
        self._rows = torch.tensor(rows, device=self._places.device)
        self._layers = count()

    def forward(self, split: Split, stream: Stream, reach: Reach, out: Tensor) -> Any:
        """Compute as ever, and keep what was computed with."""
        self._cache.fill(next(self._layers), split, self._rows, self._places)
        return self._inner.forward(split, stream, reach, out)


class Cached:
    """Attention of one more token of each row to all before it, for one pass over the layers."""

    def __init__(self, run: Operations, cache: Cache, rows: Tensor, lengths: Tensor) -> None:
        """Continue these rows of the cache, int32; `lengths` count the new token."""
        self._run, self._rows, self._lengths = run, rows, lengths
        self._layers = iter(cache.layers)

    def forward(self, split: Split, stream: Stream, reach: Reach, out: Tensor) -> None:
        """Add the token's keys and values to the layer's, and let its queries look at them."""
        self._run.attend(
            *(split, next(self._layers), self._rows, self._lengths),
            scale=reach.scale,
            window=reach.window,
            out=out,
        )


def whole_numbers(values: Sequence[int], device: torch.device) -> Tensor:
    """Give int32, which the kernels count in."""
    return torch.tensor(values, dtype=torch.int32, device=device)
