"""A stream holds every needed token of its rows once, and blocks let each see what came before."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tunekit.backends.local.fast import blocks as cutting
from tunekit.backends.local.fast.blocks import Block, Segment, cut, multiple
from tunekit.backends.local.fast.stream import IGNORED, SHORTEST, Row, Stream, join

# Few words, so that rows often begin alike.
TOKENS = st.lists(st.integers(0, 1), max_size=3 * SHORTEST)


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Rows that begin with some of a few texts, and labels anywhere."""
    beginnings = draw(st.lists(TOKENS, min_size=1, max_size=3))
    found: list[Row] = []
    for _ in range(draw(st.integers(1, 6))):
        tokens = draw(st.sampled_from(beginnings)) + draw(TOKENS)
        marks = draw(st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens)))
        labels = [7 * t if m else IGNORED for t, m in zip(tokens, marks, strict=True)]
        found.append(Row(tokens, labels))
    return found


def paths(stream: Stream) -> list[list[int]]:
    """Give the places before each place of the stream, itself included, in the order of its row."""
    found: list[list[int]] = [[] for _ in range(stream.length)]
    for segment in stream.segments:
        begun = [place for start, stop in segment.before for place in range(start, stop)]
        for place in range(segment.start, segment.stop):
            found[place] = [*begun, *range(segment.start, place + 1)]
    return found


@given(rows(), st.booleans())
def test_segments_end_where_the_next_one_starts(batch: list[Row], share: bool) -> None:
    stream = join(batch, share=share)
    ends = stream.ends.tolist()
    assert [segment.start for segment in stream.segments] == ends[:-1]
    assert ends[-1] == stream.length


@settings(deadline=None, derandomize=True)
@given(rows(), st.booleans())
def test_each_label_is_predicted_from_the_tokens_before_it(batch: list[Row], share: bool) -> None:
    stream = join(batch, share=share)
    tokens, before = stream.tokens.tolist(), paths(stream)
    found = [
        ([tokens[at] for at in before[place]], target)
        for place, target in zip(stream.places.tolist(), stream.targets.tolist(), strict=True)
    ]
    assert found == [
        (list(row.tokens[:n]), row.labels[n])
        for row in batch
        for n in range(1, len(row.tokens))
        if row.labels[n] != IGNORED
    ]


@settings(deadline=None, derandomize=True)
@given(rows(), st.booleans())
def test_a_position_counts_the_tokens_before_it(batch: list[Row], share: bool) -> None:
    stream = join(batch, share=share)
    assert stream.positions.tolist() == [len(path) - 1 for path in paths(stream)]


@settings(deadline=None, derandomize=True)
@given(rows(), st.booleans())
def test_what_follows_the_last_label_is_left_out_and_nothing_else(
    batch: list[Row], share: bool
) -> None:
    stream = join(batch, share=share)
    for number, row in enumerate(batch):
        labels = [n for n, label in enumerate(row.labels) if label != IGNORED]
        standing = stream.standing(number, 100).tolist() if labels else []
        assert stream.tokens[standing].tolist() == list(row.tokens[: max(labels, default=0)])
        assert stream.standing(number, 2).tolist() == standing[:2] or not labels


@settings(deadline=None, derandomize=True)
@given(rows(), st.booleans())
def test_a_stream_is_filled_up_with_tokens_that_nobody_sees(batch: list[Row], share: bool) -> None:
    stream = join(batch, share=share)
    there = {
        place for stretches in stream.stretches for part in stretches for place in range(*part)
    }
    assert there == set(range(len(there)))
    assert stream.length == multiple(len(there)) == len(stream.positions)
    seen = {place for place, path in enumerate(paths(stream)) if set(path) <= there}
    assert seen == there
    assert set(stream.places.tolist()) <= there


def test_a_beginning_that_rows_share_is_computed_once() -> None:
    start, labels = list(range(40)), [IGNORED] * 40
    batch = [Row([*start, end, end], [*labels, IGNORED, end]) for end in (1, 2, 3)]
    assert join(batch, share=True).length == multiple(40 + 3)
    assert join(batch, share=False).length == multiple(3 * 41)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rows(),
    st.integers(1, 70),
    st.one_of(st.none(), st.integers(1, 20)),
)
def test_a_block_lets_a_query_see_its_own_row_up_to_itself(
    batch: list[Row], queries: int, window: int | None
) -> None:
    stream = join(batch, share=window is None)
    seen = _seen(stream, queries, window)
    expected = [path[-window:] if window else path for path in paths(stream)]
    assert seen == expected


def test_short_rows_stand_in_one_block_and_keep_their_keys_to_themselves() -> None:
    short = [Segment(0, 100), Segment(100, 200), Segment(200, 400)]
    assert [block.homes for block in cut(short, None, torch.device("cpu"))] == [(None,), (None,)]
    long = cut([Segment(0, 700)], None, torch.device("cpu"))
    assert [block.homes for block in long] == [((0, 700),)] * 3


def _seen(stream: Stream, queries: int, window: int | None) -> list[list[int]]:
    """Give the places that each query sees, by the blocks."""
    before = cutting.QUERIES
    cutting.QUERIES = queries
    try:
        blocks = cutting.cut(stream.segments, window, torch.device("cpu"))
    finally:
        cutting.QUERIES = before
    found: list[list[int]] = []
    for block in blocks:
        keys = [place for start, stop in block.spans for place in range(start, stop)]
        assert block.start == len(found)
        bounds = list(zip(*_bounds(block), strict=True))
        real = block.stop - block.start
        assert len(bounds) == block.queries == multiple(real)
        assert len(keys) <= block.keys == multiple(block.keys)
        for beginning, first, last in bounds[:real]:
            found.append([*keys[:beginning], *keys[first:last]])
        assert set(bounds[real:]) <= {(0, 0, 1)}
    _check_homes(blocks)
    return found


def _check_homes(blocks: Sequence[Block]) -> None:
    """A key that two blocks see has one home in both; one without a home is seen by one block."""
    homes: dict[int, list[tuple[int, int] | None]] = {}
    for block in blocks:
        for (start, stop), home in zip(block.spans, block.homes, strict=True):
            assert home is None or home[0] <= start <= stop <= home[1]
            for place in range(start, stop):
                homes.setdefault(place, []).append(home)
    for seen in homes.values():
        assert seen == [None] or (len(set(seen)) == 1 and seen[0] is not None)


def _bounds(block: Block) -> Sequence[list[int]]:
    return [part.tolist() for part in (block.beginning, block.first, block.last)]
