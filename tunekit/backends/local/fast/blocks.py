"""Which queries are compared with which keys at once: attention over a stream, cut into blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

QUERIES = 256
"""Tokens of a block. Larger ones compute more scores that nobody sees; smaller ones cost calls."""
STEP = 16
"""Tokens of a stream, queries and keys of a block and rows of a product are filled up to a multiple
of it: oneDNN compiles for each size that it meets, in half a millisecond and half a megabyte."""


@dataclass(frozen=True)
class Segment:
    """Tokens of a stream that follow each other, and the segments that come before them."""

    start: int
    stop: int
    before: tuple[tuple[int, int], ...] = ()
    """Stretches of the stream that stand before it in its rows, the first of the row first."""

    @property
    def beginning(self) -> int:
        """Tokens before its own."""
        return sum(stop - start for start, stop in self.before)

    def moved(self, by: int) -> Segment:
        """Give it where the stream begins later."""
        before = tuple((start + by, stop + by) for start, stop in self.before)
        return Segment(self.start + by, self.stop + by, before)


@dataclass(frozen=True)
class Block:
    """Queries `start` to `stop` of a stream, and the keys that they are compared with.

    The keys are those of the `spans`, one after the other. Query n sees the first `beginning[n]`
    of them and those from `first[n]` to `last[n]`; ends are excluded. Queries that fill the block
    up see its first key.
    """

    start: int
    stop: int
    spans: tuple[tuple[int, int], ...]
    homes: tuple[tuple[int, int] | None, ...]
    """For each span the stretch of keys that it is a part of, where other blocks see such keys
    too; None where they are this block's alone."""
    beginning: Tensor
    first: Tensor
    last: Tensor

    @property
    def queries(self) -> int:
        """Queries that are computed."""
        return int(self.first.shape[0])

    @property
    def keys(self) -> int:
        """Keys that they are compared with."""
        return multiple(sum(stop - start for start, stop in self.spans))

    def moved(self, by: int) -> Block:
        """Give it where the stream begins later."""
        return replace(
            self,
            start=self.start + by,
            stop=self.stop + by,
            spans=tuple((start + by, stop + by) for start, stop in self.spans),
            homes=tuple(home and (home[0] + by, home[1] + by) for home in self.homes),
        )


def cut(segments: Sequence[Segment], window: int | None, device: torch.device) -> tuple[Block, ...]:
    """Cut a stream into blocks; a token sees itself and those before it, at most `window`.

    With a window, no segment may have anything before it.
    """
    return tuple(
        block
        for group in _together(segments)
        for block in _blocks(group, segments, window or 1 << 30, device)
    )


def _together(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Gather short neighbours with the same beginning; a product for each would be too small."""
    begun = {stretch for segment in segments for stretch in segment.before}
    group: list[Segment] = []
    for segment in segments:
        alone = (segment.start, segment.stop) in begun
        if group and (
            alone or segment.stop - group[0].start > QUERIES or segment.before != group[0].before
        ):
            yield group
            group = []
        group.append(segment)
        if alone:
            yield group
            group = []
    if group:
        yield group


def _blocks(
    group: Sequence[Segment], segments: Sequence[Segment], window: int, device: torch.device
) -> Iterator[Block]:
    start, end = group[0].start, group[-1].stop
    before = group[0].before
    several = end - start > QUERIES or any((start, end) in other.before for other in segments)
    beginning = group[0].beginning
    begins = torch.tensor([part.start for part in group for _ in range(part.start, part.stop)])
    for first in range(start, end, QUERIES):
        stop = min(end, first + QUERIES)
        low = max(start, first - window + 1)
        token = torch.arange(first, stop)
        # The first key of each query and the one behind its last, counted among the block's keys.
        oldest = torch.maximum(begins[first - start : stop - start], token - window + 1)
        shift = beginning - low
        yield Block(
            start=first,
            stop=stop,
            spans=(*before, (low, stop)),
            homes=(*before, (start, end) if several else None),
            beginning=_filled(torch.full((stop - first,), beginning), 0, device),
            first=_filled(oldest + shift, 0, device),
            last=_filled(token + 1 + shift, 1, device),
        )


def multiple(count: int) -> int:
    """Round up to the next multiple of `STEP`."""
    return -(-count // STEP) * STEP


def _filled(each: Tensor, value: int, device: torch.device) -> Tensor:
    """Give int32 for every query that is computed, `value` for those that fill a block up."""
    return pad(each, (0, -len(each) % STEP), value=value).to(device, torch.int32)
