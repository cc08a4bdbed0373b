"""Keys and values of tokens that were read before, and attention that reads and adds to them."""

from __future__ import annotations

from collections.abc import Sequence
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

    def add_layer(self, key: Tensor, value: Tensor, places: Tensor) -> None:
        """Take the next layer's keys and values of the prompts, [groups, tokens, width].

        `places` says where in the stream each row's tokens stand, [rows, longest].
        """
        self.layers.append((self._laid_out(key, places), self._laid_out(value, places)))

    def _laid_out(self, each: Tensor, places: Tensor) -> Tensor:
        groups, _, width = each.shape
        room = each.new_empty(self.rows, groups, self.capacity, width)
        room[:, :, : places.shape[1]] = each[:, places].transpose(0, 1)
        return room


class Filling:
    """Attention over prompts; their keys and values go into a cache, layer by layer."""

    def __init__(self, inner: Attention, cache: Cache, places: Sequence[Tensor]) -> None:
        self._inner, self._cache = inner, cache
        self._places = pad_sequence(list(places), batch_first=True)

    def forward(self, split: Split, stream: Stream, reach: Reach, out: Tensor) -> Any:
        """Compute as ever, and keep what was computed with."""
        self._cache.add_layer(split[1], split[2], self._places)
        return self._inner.forward(split, stream, reach, out)


class Cached:
    """Attention of one more token of each row to all before it, for one pass over the layers."""

    def __init__(self, run: Operations, cache: Cache, rows: Tensor, lengths: Tensor) -> None:
        """Continue these rows of the cache, int32; `lengths` count the new token."""
        self._run, self._rows, self._lengths = run, rows, lengths
        self._layers = iter(cache.layers)
        self._at = (rows.long(), slice(None), lengths.long() - 1)

    def forward(self, split: Split, stream: Stream, reach: Reach, out: Tensor) -> None:
        """Add the token's keys and values to the layer's, and let its queries look at them."""
        query, key, value = split
        layer = next(self._layers)
        for held, new in zip(layer, (key, value), strict=True):
            held[self._at] = new.transpose(0, 1)
        self._run.attend(
            *(query, layer, self._rows, self._lengths),
            scale=reach.scale,
            window=reach.window,
            out=out,
        )


def whole_numbers(values: Sequence[int], device: torch.device) -> Tensor:
    """Give int32, which the kernels count in."""
    return torch.tensor(values, dtype=torch.int32, device=device)
