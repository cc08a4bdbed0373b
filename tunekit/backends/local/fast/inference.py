"""A network without a gradient: how likely rows are, what comes next, and answers written by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from tunekit.backends.local.fast.cache import Cache, Cached, Filling, whole_numbers
from tunekit.backends.local.fast.decoder import Pass
from tunekit.backends.local.fast.network import Network
from tunekit.backends.local.fast.stream import IGNORED, Row, Stream, join
from tunekit.data.tokens import Tokens
from tunekit.evaluation.forward import Scored

_TOKENS = 4096
"""Of rows that are scored in one pass: at full speed, and little to hold without a gradient."""
_MOST_LOGITS = 2**27
"""Logits of a pass that gives them all."""
_MOST_HELD = 16_384
"""Tokens with those to come, whose keys and values are held from scoring on."""
_MULTIPLE = 8
"""Rows that one more token is read of."""


@dataclass(frozen=True)
class Held:
    """What was read of some rows."""

    cache: Cache
    rows: Sequence[Sequence[int]]
    """The tokens held of each."""

    def seats(self, prompts: Sequence[Sequence[int]], length: int) -> list[int] | None:
        """Give the row of the cache that goes on from each prompt; None unless all have one.

        A prompt is read but for its last token, and one row is for one prompt.
        """
        if max(map(len, prompts)) + length > self.cache.capacity:
            return None
        free = dict(enumerate(self.rows))
        found: dict[int, int] = {}
        # The longest ones first: a short prompt may be the beginning of several rows.
        for number in sorted(range(len(prompts)), key=lambda n: -len(prompts[n])):
            read = prompts[number][:-1]
            seat = next((n for n, row in free.items() if row[: len(read)] == read), None)
            if seat is None:
                return None
            found[number] = seat
            del free[seat]
        return [found[number] for number in range(len(prompts))]


class Inference:
    """Asks a network as it is at this moment."""

    def __init__(self, network: Network, begin: Callable[[Stream], Pass], *, adapted: bool) -> None:
        self._network, self._begin, self._adapted = network, begin, adapted
        self._device = network.words.device
        self._held: Held | None = None

    def score(
        self, rows: Sequence[Tokens], *, hold: Sequence[int] = (), room: int = 0
    ) -> list[Scored]:
        """Give how likely each row's labels are, in order.

        What is read of the rows to `hold` is kept: `extend` need not read prompts again that these
        rows begin with, if there is `room` for what it adds.
        """
        found = [Scored(0.0, 0)] * len(rows)
        self._held = self._held_of(rows, hold, room)
        for batch in self._batches(rows, tokens=_TOKENS):
            stream = self._joined([*batch.values()])
            this = self._holding(self._begin(stream), [*batch], hold)
            with torch.no_grad():
                scores = self._network.frozen(this)
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
        lengths = [len(prompt) for prompt in prompts]
        alive = list(range(len(prompts)))
        with torch.no_grad(), self._network.ready(adapted=self._adapted):
            hidden, cache, seats = self._read(prompts, length)
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
                tokens = [token for _, token in more]
                hidden = self._next(
                    tokens, [seats[row] for row in alive], [lengths[row] for row in alive], cache
                )
        return found

    def _held_of(self, rows: Sequence[Tokens], hold: Sequence[int], room: int) -> Held | None:
        """Make room for what is read of rows, if it is not too much."""
        if not hold:
            return None
        kept = [Row(rows[n].input_ids, rows[n].labels) for n in hold]
        capacity = max(len(row.tokens) for row in kept) + room
        if capacity * len(kept) > _MOST_HELD:
            return None
        return Held(Cache(len(kept), capacity), [row.tokens[: row.needed] for row in kept])

    def _holding(self, this: Pass, batch: Sequence[int], hold: Sequence[int]) -> Pass:
        """Let a pass over some rows keep what is to be held of them."""
        held = self._held
        kept = [(hold.index(n), at) for at, n in enumerate(batch) if held and n in hold]
        if held is None or not kept:
            return this
        places = [this.stream.standing(at, held.cache.capacity) for _, at in kept]
        seats = [seat for seat, _ in kept]
        return replace(this, instead=Filling(self._network.attention, held.cache, seats, places))

    def _read(
        self, prompts: Sequence[Sequence[int]], length: int
    ) -> tuple[Tensor, Cache, Sequence[int]]:
        """Read prompts, as far as they are not held.

        Gives their last hidden states, and the cache and its rows that were read into.
        """
        held, self._held = self._held, None
        seats = None if held is None else held.seats(prompts, length)
        if held is not None and seats is not None:
            last = [prompt[-1] for prompt in prompts]
            return self._next(last, seats, [*map(len, prompts)], held.cache), held.cache, seats
        cache = Cache(len(prompts), max(map(len, prompts)) + length)
        return self._begun(prompts, cache), cache, range(len(prompts))

    def _begun(self, prompts: Sequence[Sequence[int]], cache: Cache) -> Tensor:
        """Read prompts into a cache; gives the hidden states of their last tokens."""
        # A label behind each prompt, so that all of it is read.
        rows = [Row([*prompt, 0], [IGNORED] * len(prompt) + [0]) for prompt in prompts]
        stream = self._joined(rows)
        places = [stream.standing(row, cache.capacity) for row in range(len(rows))]
        filling = Filling(self._network.attention, cache, range(len(rows)), places)
        return self._network.trunk(replace(self._begin(stream), instead=filling))[0]

    def _next(
        self, tokens: Sequence[int], seats: Sequence[int], lengths: Sequence[int], cache: Cache
    ) -> Tensor:
        """Read one more token of some rows, the last of so many; gives their hidden states."""
        count = len(tokens)
        # The last one again, so that the library meets few numbers of rows: it compiles for each.
        tokens, seats, lengths = (
            [*each, *[each[-1]] * (-count % _MULTIPLE)] for each in (tokens, seats, lengths)
        )
        rows, counts = (whole_numbers(each, self._device) for each in (seats, lengths))
        stream = Stream(
            tokens=torch.tensor(tokens, device=self._device),
            positions=counts.long() - 1,
            segments=(),
            places=torch.arange(len(tokens), device=self._device),
            targets=rows.new_empty(0),
        )
        cached = Cached(self._network.run, cache, rows, counts)
        return self._network.trunk(replace(self._begin(stream), instead=cached))[0][:count]

    def _logits(self, hidden: Tensor) -> Tensor:
        return self._network.logits.times(hidden, 0)

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
