"""Where the frozen weights of a group lie: in their own precision, or packed in 4 or 8 bits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class Dense:
    """Weights as they are; the modules that held them get views of the joint matrix."""

    lasting = True

    def __init__(self, weights: Sequence[torch.nn.Parameter], extra: int) -> None:
        self.inputs = int(weights[0].shape[1])
        self.outputs = sum(int(weight.shape[0]) for weight in weights)
        first = weights[0]
        self._matrix = first.new_zeros(self.outputs + extra, self.inputs + extra)
        start = 0
        for weight in weights:
            view = self._matrix[start : start + weight.shape[0], : self.inputs]
            view.copy_(weight.detach())
            weight.data = view
            start += weight.shape[0]
        self.a = self._matrix[self.outputs :, : self.inputs]
        self.b = self._matrix[: self.outputs, self.inputs :]

    def matrix(self) -> Tensor:
        """Give the joint matrix."""
        return self._matrix


class Shelf:
    """Unpacked matrices, the most recently used ones up to a number of bytes.

    The backward pass wants them in the reverse order of the forward pass, so it finds the last.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: OrderedDict[Packed, Tensor] = OrderedDict()

    def take(self, owner: Packed) -> Tensor | None:
        """Give what is held for an owner."""
        found = self._held.get(owner)
        if found is not None:
            self._held.move_to_end(owner)
        return found

    def room(self, owner: Packed, shape: tuple[int, int], like: Tensor) -> Tensor:
        """Give a matrix for an owner to fill; the oldest ones make room."""
        size = shape[0] * shape[1] * like.element_size()
        free: Tensor | None = None
        while self._held and self._bytes() + size > self.most:
            _, old = self._held.popitem(last=False)
            free = old if old.shape == shape else free
        new = like.new_empty(shape) if free is None else free
        self._held[owner] = new
        return new

    def clear(self) -> None:
        """Forget everything, as when the adapters have changed."""
        self._held.clear()

    def _bytes(self) -> int:
        return sum(held.nbytes for held in self._held.values())


class Packed:
    """Quantised weights, unpacked where a product needs them."""

    lasting = False

    def __init__(
        self,
        unpack: Sequence[Callable[[Tensor], None]],
        outputs: Sequence[int],
        inputs: int,
        extra: int,
        *,
        like: Tensor,
        shelf: Shelf,
    ) -> None:
        self.inputs, self.outputs = inputs, sum(outputs)
        self.a = like.new_zeros(extra, inputs)
        self.b = like.new_zeros(self.outputs, extra)
        self._unpack, self._each, self._shelf = unpack, outputs, shelf

    def matrix(self) -> Tensor:
        """Give the joint matrix, unpacked now unless it is at hand."""
        found = self._shelf.take(self)
        if found is not None:
            return found
        extra = self.a.shape[0]
        shape = (self.outputs + extra, self.inputs + extra)
        matrix = self._shelf.room(self, shape, self.a)
        start = 0
        for unpack, outputs in zip(self._unpack, self._each, strict=True):
            unpack(matrix[start : start + outputs, : self.inputs])
            start += outputs
        matrix[self.outputs :, : self.inputs] = self.a
        matrix[: self.outputs, self.inputs :] = self.b
        return matrix
