"""A batch as one stream of tokens: no padding, and what rows begin with alike only once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from tunekit.backends.local.fast.blocks import STEP, Block, Segment, cut

IGNORED = -100
SHORTEST = 16
"""Tokens that a shared beginning has at least: below, parting costs more than it spares."""


@dataclass(frozen=True)
class Row:
    """A sequence of its own: tokens, and the label of each (-100: it does not count)."""

    tokens: Sequence[int]
    labels: Sequence[int]

    @property
    def needed(self) -> int:
        """Tokens up to the last one that predicts a label; nothing behind it can matter."""
        last = (n for n in range(len(self.labels) - 1, 0, -1) if self.labels[n] != IGNORED)
        return next(last, 0)

    @property
    def counted(self) -> int:
        """Labels that count; nothing predicts the first."""
        return sum(label != IGNORED for label in self.labels[1:])


@dataclass(frozen=True)
class Stream:
    """The tokens of a batch, where they stand in their rows, and what is predicted where."""

    tokens: Tensor
    positions: Tensor
    segments: tuple[Segment, ...]
    places: Tensor
    """Where in the stream each label is predicted; rows in order. A place can occur twice."""
    targets: Tensor
    """The labels themselves."""
    stretches: tuple[tuple[tuple[int, int], ...], ...] = ()
    """Of each row that was joined, where its tokens stand, the first ones first."""
    streams: tuple[Stream, ...] = ()
    """Those that it was put together from; none of them sees another."""
    _blocks: dict[int | None, tuple[Block, ...]] = field(
        default_factory=dict[int | None, tuple[Block, ...]]
    )

    @property
    def length(self) -> int:
        """Tokens that are computed."""
        return int(self.tokens.shape[0])

    @cached_property
    def ends(self) -> Tensor:
        """Give where each segment ends, behind a zero, in int32 on the device of the tokens."""
        ends = [0, *(segment.stop for segment in self.segments)]
        return torch.tensor(ends, dtype=torch.int32, device=self.tokens.device)

    def standing(self, row: int, most: int) -> Tensor:
        """Give where the first tokens of a row that was joined stand, `most` at most."""
        parts = (range(start, stop) for start, stop in self.stretches[row])
        places = list(itertools.islice(itertools.chain(*parts), most))
        return torch.tensor(places, dtype=torch.long, device=self.tokens.device)

    def blocks(self, window: int | None) -> tuple[Block, ...]:
        """Give the blocks of attention, cut once for all layers with this window."""
        if window not in self._blocks:
            self._blocks[window] = self._cut(window)
        return self._blocks[window]

    def _cut(self, window: int | None) -> tuple[Block, ...]:
        """Cut; a block that held tokens of two streams would spread what is not finite in one."""
        if not self.streams:
            return cut(self.segments, window, self.tokens.device)
        return tuple(
            block.moved(start)
            for start, stream in zip(_starts(self.streams), self.streams, strict=True)
            for block in stream.blocks(window)
        )


def chain(streams: Sequence[Stream]) -> Stream:
    """Put whole streams one behind the other, each as it would be alone."""
    starts = _starts(streams)
    pairs = list(zip(starts, streams, strict=True))
    return Stream(
        tokens=torch.cat([stream.tokens for stream in streams]),
        positions=torch.cat([stream.positions for stream in streams]),
        segments=tuple(part.moved(start) for start, stream in pairs for part in stream.segments),
        places=torch.cat([stream.places + start for start, stream in pairs]),
        targets=torch.cat([stream.targets for stream in streams]),
        streams=tuple(streams),
    )


def _starts(streams: Sequence[Stream]) -> list[int]:
    return [0, *itertools.accumulate(stream.length for stream in streams)][:-1]


def join(rows: Sequence[Row], *, share: bool, device: torch.device | None = None) -> Stream:
    """Put rows into one stream, filled up to a multiple of `STEP` tokens.

    With `share`, tokens that stand at the beginning of several rows are computed once; the rows'
    log-probabilities and gradients are what they would be apart.
    """
    lengths = [row.needed for row in rows]
    pieces = _Pieces()
    paths: list[list[_Piece]] = [[] for _ in rows]
    everything = [n for n, length in enumerate(lengths) if length]
    for piece, owners in _grow(rows, lengths, everything, 0, share=share):
        pieces.add(piece)
        for owner in owners:
            paths[owner].append(piece)
    pieces.fill_up()
    places: list[int] = []
    targets: list[int] = []
    for row, path in zip(rows, paths, strict=True):
        for piece in path:
            for n in range(piece.first, piece.last):
                if row.labels[n + 1] != IGNORED:
                    places.append(piece.start + n - piece.first)
                    targets.append(row.labels[n + 1])
    return Stream(
        tokens=torch.tensor(pieces.tokens, dtype=torch.long, device=device),
        positions=torch.tensor(pieces.positions, dtype=torch.long, device=device),
        segments=tuple(pieces.segments),
        places=torch.tensor(places, dtype=torch.long, device=device),
        targets=torch.tensor(targets, dtype=torch.long, device=device),
        stretches=tuple(tuple(piece.stretch for piece in path) for path in paths),
    )


@dataclass(eq=False)
class _Piece:
    """Tokens `first` to `last` of a row; `start` is where they come to stand in the stream."""

    row: Row
    first: int
    last: int
    before: tuple[_Piece, ...]
    start: int = 0

    @property
    def stretch(self) -> tuple[int, int]:
        return self.start, self.start + self.last - self.first


@dataclass
class _Pieces:
    """Pieces in the order of the stream."""

    tokens: list[int] = field(default_factory=list[int])
    positions: list[int] = field(default_factory=list[int])
    segments: list[Segment] = field(default_factory=list[Segment])

    def add(self, piece: _Piece) -> None:
        piece.start = len(self.tokens)
        self.tokens += piece.row.tokens[piece.first : piece.last]
        self.positions += range(piece.first, piece.last)
        before = tuple(other.stretch for other in piece.before)
        self.segments.append(Segment(*piece.stretch, before=before))

    def fill_up(self) -> None:
        """Let the last row go on to a multiple of tokens that the library compiles products for.

        Nothing is predicted there and nobody sees it, so its gradient is zero.
        """
        more = -len(self.tokens) % STEP
        if not more:
            return
        last, position = self.segments[-1], self.positions[-1] + 1
        self.segments[-1] = replace(last, stop=last.stop + more)
        self.positions += range(position, position + more)
        self.tokens += [0] * more


def _grow(
    rows: Sequence[Row],
    lengths: Sequence[int],
    members: Sequence[int],
    done: int,
    *,
    share: bool,
    before: tuple[_Piece, ...] = (),
) -> Iterator[tuple[_Piece, Sequence[int]]]:
    """Give each piece with the rows that it belongs to; a shared beginning before its ends."""
    for group in _alike(rows, lengths, members, done) if share else [[n] for n in members]:
        length = _common(rows, lengths, group, done)
        piece = _Piece(rows[group[0]], done, length, before)
        yield piece, group
        ends = [n for n in group if lengths[n] > length]
        yield from _grow(rows, lengths, ends, length, share=share, before=(*before, piece))


def _alike(
    rows: Sequence[Row], lengths: Sequence[int], members: Sequence[int], done: int
) -> list[list[int]]:
    """Gather rows whose next tokens are the same, as many as are worth sharing."""
    groups: dict[object, list[int]] = {}
    for n in members:
        head = tuple(rows[n].tokens[done : min(lengths[n], done + SHORTEST)])
        key: object = head if len(head) == SHORTEST else n
        groups.setdefault(key, []).append(n)
    return list(groups.values())


def _common(rows: Sequence[Row], lengths: Sequence[int], group: Sequence[int], done: int) -> int:
    """Count the tokens that the rows have in common; a row alone has all."""
    shortest = min(lengths[n] for n in group)
    if len(group) == 1:
        return shortest
    first, rest = rows[group[0]].tokens, [rows[n].tokens for n in group[1:]]
    for at in range(done, shortest):
        if any(other[at] != first[at] for other in rest):
            return at
    return shortest
