"""A language model of Llama's build: from a stream of tokens to the scores of its labels."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import embedding

from tunekit.backends.local.fast.attention import Attention
from tunekit.backends.local.fast.decoder import GROUPS, Decoder, Kept, Pass
from tunekit.backends.local.fast.frozen import Frozen, Plain
from tunekit.backends.local.fast.head import log_probs
from tunekit.backends.local.fast.linear import Gradients, Masks, copy_all, multiply_all
from tunekit.backends.local.fast.operations import Angles, Norm, Operations, Scores, rows_of
from tunekit.backends.local.fast.stream import Stream
from tunekit.backends.local.fast.weights import Shelf

Rotate = Callable[[Tensor], dict[str, Angles | None]]
"""From positions to the angles of each kind of layer."""
READY = 500_000_000
"""Bytes that copies of weights may take while products of few rows are made."""
Copy = tuple[Tensor, Tensor, float]
"""A place in a matrix, what belongs there, and by what it is multiplied."""


@dataclass
class Network:
    """The parts of a model, and how they are run."""

    words: Tensor
    """Embeddings, [vocabulary, width]."""
    word_scale: float | None
    layers: Sequence[Decoder]
    norm: Norm
    head: Tensor
    rotate: Rotate
    run: Operations
    attention: Attention
    shelf: Shelf
    recompute: bool = False
    """Keep the input of each layer only, and compute the rest again in the backward pass."""
    logits: Frozen = field(init=False)
    """The head's product, without a gradient."""
    parameters: list[Tensor] = field(init=False)
    """A and B of every adapter."""
    lowest: tuple[int, str] | None = field(init=False)
    """The layer and group of the lowest adapter."""
    copies: list[Copy] = field(init=False)
    """Where every adapter stands."""

    def __post_init__(self) -> None:
        places = [
            (n, name, layer.groups[name]) for n, layer in enumerate(self.layers) for name in GROUPS
        ]
        self.logits = Frozen(Plain(self.head), None, self.run)
        self.parameters = [
            tensor
            for *_, group in places
            for part in group.parts
            for tensor in (part.adapter.a, part.adapter.b)
        ]
        self.lowest = next(((n, name) for n, name, group in places if group.parts), None)
        self.drops = any(group.drops for *_, group in places)
        self.copies = [copy for *_, group in places for copy in group.copies()]

    @property
    def shares(self) -> bool:
        """Whether rows may share what they begin with: a window would reach into it."""
        return self.attention.shares and not any(layer.reach.window for layer in self.layers)

    def log_probs(self, stream: Stream, *, training: bool = False) -> Scores:
        """Score the labels of a stream, with a gradient where one is wanted."""
        masks = Masks.random() if training and self.drops else None
        self.refresh(self.copies)
        return self.scores(self.begin(stream, masks=masks), self.parameters)

    def reference(self, stream: Stream, instead: Sequence[Tensor] | None = None) -> Scores:
        """Score the labels of a stream by the frozen model, without a gradient.

        With `instead`, tensors like `parameters`, by the frozen model and these adapters.
        """
        this = self.begin(stream, adapted=instead is not None)
        if instead is None:
            return self.frozen(this)
        self.refresh(in_place_of(self.copies, instead))
        try:
            return self.frozen(this)
        finally:
            # A backward pass may still want the adapters of the pass before.
            self.refresh(self.copies)

    def reading(self, *, adapted: bool) -> tuple[Network, Callable[[Stream], Pass]]:
        """Give what reads streams by the adapters as they are now, or by the base alone."""
        if adapted:
            self.refresh(self.copies)
        return self, partial(self.begin, adapted=adapted)

    @contextmanager
    def ready(self, *, adapted: bool) -> Generator[None, None, None]:
        """Inside the block, products of few rows are fast, as long as no adapter changes."""
        left = READY
        groups = [layer.groups[name] for layer in self.layers for name in GROUPS]
        products = [(group.frozen, group.columns(adapted=adapted)) for group in groups]
        products.insert(0, (self.logits, int(self.head.shape[1])))
        for frozen, columns in products:
            left -= frozen.make_ready(columns, most=left)
        try:
            yield
        finally:
            for frozen, _ in products:
                frozen.forget()

    def begin(self, stream: Stream, *, adapted: bool = True, masks: Any = None) -> Pass:
        """Give what all layers have in common in a pass over a stream."""
        angles = self.rotate(stream.positions)
        return Pass(stream, angles, self.run, self.attention, adapted, masks)

    def scores(self, this: Pass, parameters: Sequence[Tensor]) -> Scores:
        """Score the labels of a pass; a gradient goes to these parameters of its adapters."""
        hidden: Any = cast("Any", _Trunk).apply(self, this, parameters, *parameters)
        return log_probs(hidden, self.head, this.stream.targets, self.run)

    def frozen(self, this: Pass) -> Scores:
        """Score the labels of a pass without a gradient."""
        with torch.no_grad():
            return log_probs(self.trunk(this)[0], self.head, this.stream.targets, self.run)

    def refresh(self, copies: Sequence[Copy]) -> None:
        """Copy adapters into the matrices of their groups."""
        self.shelf.clear()
        with torch.no_grad():
            scaled = multiply_all(
                [source for _, source, _ in copies], [scale for *_, scale in copies]
            )
            copy_all([into for into, *_ in copies], scaled)

    def trunk(self, this: Pass, *, keep: bool = False) -> tuple[Tensor, State]:
        """Give the normed hidden states where labels are predicted; keep what a gradient needs."""
        x, delta = embedding(this.stream.tokens, self.words), None
        if self.word_scale is not None:
            x = x * self.word_scale
        state = State()
        for n, layer in enumerate(self.layers):
            wanted = keep and self.lowest is not None and n >= self.lowest[0]
            if wanted and self.recompute and delta is not None:
                x, delta = x + delta, None
            state.inputs.append(x if wanted and self.recompute else None)
            x, delta, kept = layer.forward(x, delta, this)
            state.kept.append(kept if wanted and not self.recompute else None)
        places = this.stream.places
        assert delta is not None
        state.last, hidden, state.scale = self.run.norm(x[places], delta[places], self.norm, 0)
        return hidden, state

    def trunk_backward(self, this: Pass, state: State, d_hidden: Tensor) -> Gradients:
        """Give the gradients of all adapters."""
        assert self.lowest is not None and state.last is not None and state.scale is not None
        into, width = Gradients(), self.norm.weight.shape[0]
        at_places = self.run.norm_backward(d_hidden, state.last, self.norm, state.scale, None)
        room = max(layer.room for layer in self.layers)
        d = rows_of(d_hidden, this.stream.length, width + room).zero_()
        d[:, :width].index_add_(0, this.stream.places, at_places)
        for n in range(len(self.layers) - 1, self.lowest[0] - 1, -1):
            kept, state.kept[n] = state.kept[n], None
            start, state.inputs[n] = state.inputs[n], None
            if kept is None and start is not None:
                *_, kept = self.layers[n].forward(start, None, this)
            assert kept is not None
            lowest = self.lowest[1] if n == self.lowest[0] else None
            self.layers[n].backward(d, kept, this, into, lowest=lowest)
        return into


def in_place_of(copies: Sequence[Copy], others: Sequence[Tensor]) -> list[Copy]:
    """Give copies of other tensors to the same places, in the same order."""
    return [(into, other, scale) for (into, _, scale), other in zip(copies, others, strict=True)]


@dataclass
class State:
    """What a pass over all layers leaves for its backward pass, which uses it up."""

    inputs: list[Tensor | None] = field(default_factory=list[Tensor | None])
    kept: list[Kept | None] = field(default_factory=list[Kept | None])
    last: Tensor | None = None
    scale: Tensor | None = None


class _Trunk(Function):  # type: ignore[misc]
    """All layers as one node of the graph."""

    @staticmethod
    def forward(
        ctx: Any, network: Network, this: Pass, parameters: Sequence[Tensor], *tensors: Tensor
    ) -> Tensor:
        hidden, state = network.trunk(this, keep=any(ctx.needs_input_grad))
        ctx.network, ctx.this, ctx.state, ctx.parameters = network, this, state, parameters
        return hidden

    @staticmethod
    def backward(ctx: Any, *d_hidden: Any) -> tuple[Tensor | None, ...]:
        network, state = ctx.network, ctx.state
        ctx.state = None
        found = network.trunk_backward(ctx.this, state, *d_hidden)
        return (None, None, None, *found.spread(ctx.parameters))
