"""Which queries are compared with which keys at once: attention over a stream, cut into blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

QUERIES = 256
"""Tokens of a block. Larger ones compute more scores that nobody sees; smaller ones cost calls."""


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


@dataclass(frozen=True)
class Block:
    """Queries `start` to `stop` of a stream, and the keys that they are compared with.

    The keys are those of the `spans`, one after the other. Query n sees the first `beginning[n]`
    of them and those from `first[n]` to `last[n]`; ends are excluded.
    """

    start: int
    stop: int
    spans: tuple[tuple[int, int], ...]
    beginning: Tensor
    first: Tensor
    last: Tensor


@dataclass(frozen=True)
class Blocks:
    """All blocks of a stream."""

    all: tuple[Block, ...]
    apart: bool
    """No key stands in two blocks."""


def cut(segments: Sequence[Segment], window: int | None, device: torch.device) -> Blocks:
    """Cut a stream into blocks; a token sees itself and those before it, at most `window`.

    With a window, no segment may have anything before it.
    """
    groups = list(_together(segments))
    blocks = [block for group in groups for block in _blocks(group, window or 1 << 30, device)]
    alone = not any(segment.before for segment in segments)
    return Blocks(tuple(blocks), apart=alone and len(blocks) == len(groups))


def _together(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Gather short neighbours with the same beginning; a product for each would be too small."""
    group: list[Segment] = []
    for segment in segments:
        if group and (segment.stop - group[0].start > QUERIES or segment.before != group[0].before):
            yield group
            group = []
        group.append(segment)
    if group:
        yield group


def _blocks(group: Sequence[Segment], window: int, device: torch.device) -> Iterator[Block]:
    start, end = group[0].start, group[-1].stop
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
            spans=(*group[0].before, (low, stop)),
            beginning=torch.full((stop - first,), beginning, dtype=torch.int32, device=device),
            first=(oldest + shift).to(device, torch.int32),
            last=(token + 1 + shift).to(device, torch.int32),
        )
