"""A network without a gradient: how likely rows are, what comes next, and answers written by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from tunekit.backends.local.fast.cache import Cache, Cached, Filling, whole_numbers
from tunekit.backends.local.fast.decoder import Pass
from tunekit.backends.local.fast.head import logits
from tunekit.backends.local.fast.network import Network
from tunekit.backends.local.fast.stream import IGNORED, Row, Stream, join
from tunekit.data.tokens import Tokens
from tunekit.evaluation.forward import Scored

_TOKENS = 4096
"""Of rows that are scored in one pass: at full speed, and little to hold without a gradient."""
_MOST_LOGITS = 2**27
"""Logits of a pass that gives them all."""
_MULTIPLE = 8
"""Rows that one more token is read of."""


class Inference:
    """Asks a network as it is at this moment."""

    def __init__(self, network: Network, begin: Callable[[Stream], Pass]) -> None:
        self._network, self._begin = network, begin
        self._device = network.words.device

    def score(self, rows: Sequence[Tokens]) -> list[Scored]:
        """Give how likely each row's labels are, in order."""
        found = [Scored(0.0, 0)] * len(rows)
        for batch in self._batches(rows, tokens=_TOKENS):
            with torch.no_grad():
                scores = self._network.frozen(self._begin(self._joined([*batch.values()])))
            counts = [row.counted for row in batch.values()]
            right = scores.is_top1
            assert right is not None
            both = (_split(scores.log_probs, counts), _split(right, counts))
            for n, log_probs, hits in zip(batch, *both, strict=True):
                total = -log_probs.double().sum().item()
                found[n] = Scored(
                    total, len(log_probs), tuple(cast("list[bool]", hits.bool().tolist()))
                )
        return found

    def predictions(self, rows: Sequence[Tokens]) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Give the number of each row that has labels, with its logits and labels."""
        most = _MOST_LOGITS // self._network.head.shape[0]
        for batch in self._batches(rows, tokens=_TOKENS, labels=most):
            stream = self._joined([*batch.values()])
            with torch.no_grad():
                found = self._logits(self._network.trunk(self._begin(stream))[0])
            counts = [row.counted for row in batch.values()]
            both = (_split(found, counts), _split(stream.targets, counts))
            yield from zip(batch, *both, strict=True)

    def extend(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        length: int,
        ends: Sequence[int],
        pick: Callable[[Any], Any],
    ) -> list[list[int]]:
        """Extend each row by up to `length` tokens, as `evaluation.decode.decode` does."""
        found: list[list[int]] = [[] for _ in prompts]
        stops = torch.tensor(sorted(ends), device=self._device)
        cache = Cache(len(prompts), max(map(len, prompts)) + length)
        lengths = [len(prompt) for prompt in prompts]
        alive = list(range(len(prompts)))
        with torch.no_grad():
            hidden = self._begun(prompts, cache)
            for step in range(length):
                chosen = pick(self._logits(hidden))
                going: list[bool] = cast("Any", ~torch.isin(chosen, stops)).tolist()
                said = zip(alive, chosen.tolist(), going, strict=True)
                more = [(row, token) for row, token, goes in said if goes]
                for row, token in more:
                    found[row].append(token)
                    lengths[row] += 1
                alive = [row for row, _ in more]
                if not alive or step + 1 == length:
                    break
                hidden = self._next(more, lengths, cache)
        return found

    def _begun(self, prompts: Sequence[Sequence[int]], cache: Cache) -> Tensor:
        """Read prompts into a cache; gives the hidden states of their last tokens."""
        # Labels on all tokens and one behind them, to be told where in the stream each one stands.
        rows = [Row([*prompt, 0], [IGNORED, *prompt[1:], 0]) for prompt in prompts]
        stream = self._joined(rows)
        places = _split(stream.places, [len(prompt) for prompt in prompts])
        last = torch.stack([each[-1] for each in places])
        this = self._begin(replace(stream, places=last))
        filling = Filling(self._network.attention, cache, places)
        return self._network.trunk(replace(this, instead=filling))[0]

    def _next(
        self, more: Sequence[tuple[int, int]], lengths: Sequence[int], cache: Cache
    ) -> Tensor:
        """Read one token of each row; gives their hidden states."""
        count = len(more)
        # The last one again, so that the library meets few numbers of rows: it compiles for each.
        more = [*more, *[more[-1]] * (-count % _MULTIPLE)]
        rows = whole_numbers([row for row, _ in more], self._device)
        counts = whole_numbers([lengths[row] for row, _ in more], self._device)
        stream = Stream(
            tokens=torch.tensor([token for _, token in more], device=self._device),
            positions=counts.long() - 1,
            segments=(),
            places=torch.arange(len(more), device=self._device),
            targets=rows.new_empty(0),
        )
        cached = Cached(self._network.run, cache, rows, counts)
        return self._network.trunk(replace(self._begin(stream), instead=cached))[0][:count]

    def _logits(self, hidden: Tensor) -> Tensor:
        return logits(hidden, self._network.head, self._network.run)

    def _joined(self, rows: Sequence[Row]) -> Stream:
        return join(rows, share=self._network.shares, device=self._device)

    @staticmethod
    def _batches(
        rows: Sequence[Tokens], *, tokens: int, labels: int | None = None
    ) -> Iterator[dict[int, Row]]:
        """Gather rows that have labels, in order and by number, within the bounds."""
        batch: dict[int, Row] = {}
        used = [0, 0]
        for n, row in enumerate(Row(each.input_ids, each.labels) for each in rows):
            counted = row.counted
            if not counted:
                continue
            used = [used[0] + len(row.tokens), used[1] + counted]
            if batch and (used[0] > tokens or (labels is not None and used[1] > labels)):
                yield batch
                batch, used = {}, [len(row.tokens), counted]
            batch[n] = row
        if batch:
            yield batch


def _split(each: Tensor, counts: list[int]) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = cast("Any", each).split(counts)
    return found
