"""The product of rows with the frozen weights of a group, and with what its adapters put there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from tunekit.backends.local.fast.operations import Operations, rows_of


class Matrix(Protocol):
    """Where the weights of a group lie."""

    lasting: bool
    """Whether the matrix stays where it is; else it is unpacked for each product."""

    @property
    def outputs(self) -> int:
        """Rows of the matrix that are outputs."""
        ...

    def matrix(self) -> Tensor:
        """Give [outputs or more, inputs or more]."""
        ...


@dataclass(frozen=True)
class Plain:
    """A weight that stands alone."""

    weight: Tensor
    lasting = True

    @property
    def outputs(self) -> int:
        """Rows of the weight."""
        return int(self.weight.shape[0])

    def matrix(self) -> Tensor:
        """Give the weight."""
        return self.weight


class Frozen:
    """x W^T + bias, with as many columns of W as x has."""

    def __init__(self, base: Matrix, bias: Tensor | None, run: Operations) -> None:
        self.base, self.bias, self._run = base, bias, run
        self._ready: tuple[int, Callable[[Tensor], Tensor]] | None = None

    def times(self, x: Tensor, room: int) -> Tensor:
        """Multiply; the product has `room` for more columns, unless it is made by what is ready."""
        n = self.base.outputs
        if self._ready is not None and self._ready[0] == x.shape[1]:
            y = self._ready[1](x)
        else:
            y = rows_of(x, x.shape[0], n + room)
            self._run.mm(x, self.base.matrix()[:n, : x.shape[1]].t(), y[:, :n])
        if self.bias is not None:
            y[:, :n] += self.bias
        return y

    def make_ready(self, columns: int, *, most: int) -> int:
        """Prepare for many products of few rows, in at most so many bytes; gives how many it took.

        It is good until the matrix changes.
        """
        if not self.base.lasting:
            return 0
        weight = self.base.matrix()[: self.base.outputs, :columns]
        size: int = weight.numel() * weight.element_size()
        ready = self._run.ready(weight) if size <= most else None
        if ready is None:
            return 0
        self._ready = (columns, ready)
        return size

    @property
    def is_ready(self) -> bool:
        """Whether products of few rows are fast."""
        return self._ready is not None

    def forget(self) -> None:
        """Give back what was prepared."""
        self._ready = None
