"""The compiled kernels compute what the passes in torch compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.local.fast.tiny import passes
from tunekit.backends.local.fast import compiled, formulas, operations
from tunekit.backends.local.fast.blocks import Segment, cut
from tunekit.backends.local.fast.compiled import Uncompiled, library
from tunekit.backends.local.fast.operations import Angles, Heads, Norm, Operations

DTYPES = st.sampled_from([torch.float32, torch.bfloat16])
SIZES = st.integers(1, 40)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal up to a rounding of bfloat16, or to the last digits of float32, of the largest."""
    tolerance = 1 / 128 if found.dtype is torch.bfloat16 else 1e-5
    largest = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance * largest)


class Numbers:
    """Random tensors from one seed."""

    def __init__(self, seed: int, dtype: torch.dtype) -> None:
        self.generator, self.dtype = torch.Generator().manual_seed(seed), dtype

    def __call__(self, *shape: int, room: int = 0) -> torch.Tensor:
        """Give a tensor, with room for more columns."""
        *rows, columns = shape
        wide = torch.randn(*rows, columns + room, generator=self.generator).to(self.dtype)
        return wide

    def norm(self, columns: int) -> Norm:
        return Norm(torch.rand(columns, generator=self.generator) + 0.5, 1e-5)


SEEDS = st.integers(0, 1000)


@settings(deadline=None, derandomize=True)
@given(SEEDS, DTYPES, SIZES, SIZES, st.integers(0, 3), st.booleans())
def test_norms(
    seed: int, dtype: torch.dtype, rows: int, columns: int, room: int, adds: bool
) -> None:
    draw = Numbers(seed, dtype)
    x, delta, norm = draw(rows, columns), draw(rows, columns) if adds else None, draw.norm(columns)
    dy, rest = draw(rows, columns), draw(rows, columns, room=room)
    # Where all of a row is nearly 0, the norm magnifies the last digits.
    x[:, 0] = 2
    results = []
    for run in (passes("torch"), passes("native", dtype)):
        total, y, scale = run.norm(x, delta, norm, room)
        assert y.shape == (rows, columns + room)
        dx = run.norm_backward(dy, total, norm, scale, rest.clone())
        alone = run.norm_backward(dy, total, norm, scale, None)
        results.append((total, y[:, :columns], scale, dx, alone))
    for found, expected in zip(*reversed(results), strict=True):
        close(found, expected)
    torch.testing.assert_close(results[1][3][:, columns:], rest[:, columns:], rtol=0, atol=0)


@settings(deadline=None, derandomize=True)
@given(SEEDS, DTYPES, SIZES, SIZES, st.integers(0, 3), st.booleans())
def test_gates(
    seed: int, dtype: torch.dtype, rows: int, columns: int, room: int, tanh: bool
) -> None:
    draw = Numbers(seed, dtype)
    both, d = draw(rows, 2 * columns, room=room), draw(rows, columns)
    results = []
    for run in (passes("torch"), passes("native", dtype)):
        changed, out = both.clone(), d.clone()
        active = run.gated(both, columns, room, tanh=tanh)
        run.gated_backward(changed, out, tanh=tanh)
        results.append((active[:, :columns], changed, out))
    for found, expected in zip(*reversed(results), strict=True):
        close(found, expected)
    torch.testing.assert_close(results[1][0], results[1][2], rtol=0, atol=0)


@settings(deadline=None, derandomize=True)
@given(SEEDS, DTYPES, SIZES, st.integers(1, 3), st.integers(1, 3), st.integers(1, 9), st.data())
def test_heads(
    seed: int,
    dtype: torch.dtype,
    tokens: int,
    groups: int,
    share: int,
    half: int,
    data: st.DataObject,
) -> None:
    draw = Numbers(seed, dtype)
    width = 2 * half
    norms = (draw.norm(width), draw.norm(width)) if data.draw(st.booleans()) else (None, None)
    heads = Heads(groups, share, width, *norms)
    turn = torch.rand(tokens, half, generator=draw.generator)
    angles = Angles(turn.cos(), turn.sin()) if data.draw(st.booleans()) else None
    joint = draw(tokens, heads.queries + 2 * heads.keys, room=3)
    results = []
    for run in (passes("torch"), passes("native", dtype)):
        changed = joint.clone()
        split = run.split(joint, heads, angles)
        run.join(changed, split, heads, angles)
        results.append((*split, changed))
    for found, expected in zip(*reversed(results), strict=True):
        close(found, expected)
    if norms == (None, None):
        # Turning there and back is nothing.
        close(results[1][3], joint)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    SEEDS,
    DTYPES,
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.integers(0, 20),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_softmax(
    seed: int, dtype: torch.dtype, lengths: list[int], begun: int, groups: int, share: int
) -> None:
    draw = Numbers(seed, dtype)
    segments: list[Segment] = [Segment(0, begun)] if begun else []
    for length in lengths:
        start = segments[-1].stop if segments else 0
        segments.append(Segment(start, start + length, before=((0, begun),) if begun else ()))
    for block in cut(segments, None, torch.device("cpu")):
        shape = (groups, block.queries * share, block.keys)
        scores, d = 3 * draw(*shape), draw(*shape)
        results = []
        for run in (passes("torch"), passes("native", dtype)):
            forward, again, gradient = scores.clone(), scores.clone(), d.clone()
            total = run.softmax(forward, block, 0.4)
            run.softmax_backward(again, gradient, block, 0.4, total)
            results.append((forward, total, again, gradient))
        for found, expected in zip(*reversed(results), strict=True):
            close(found, expected)
        sums = results[1][0].float().sum(-1)
        torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0.02, atol=0)


@settings(deadline=None, derandomize=True)
@given(SEEDS, DTYPES, st.integers(1, 9), st.integers(1, 70))
def test_scores(seed: int, dtype: torch.dtype, rows: int, words: int) -> None:
    draw = Numbers(seed, dtype)
    # Whole numbers, so that equals occur.
    logits = (2 * draw(rows, words)).round()
    targets = torch.randint(words, (rows,), generator=draw.generator)
    results: list[tuple[Any, ...]] = []
    for run in (passes("torch"), passes("native", dtype)):
        changed = logits.clone()
        scores = run.score(changed, targets, keep=True)
        results.append((*vars(scores).values(), changed))
        kept = logits.clone()
        run.score(kept, targets, keep=False)
        assert torch.equal(kept, logits)
    for found, expected in zip(*reversed(results), strict=True):
        close(found, expected)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler uses what Python has renamed
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("plain", [True, False], ids=["llama", "qwen3"])
def test_what_torch_compiles_computes_the_same(dtype: torch.dtype, plain: bool) -> None:
    run = operations.compiled(torch.device("cpu"), dtype)
    assert run._norm is not formulas.norm  # it was compiled, and has passed its trial
    results = [_all_passes(each, dtype, plain=plain) for each in (run, passes("torch"))]
    for found, expected in zip(*results, strict=True):
        close(found, expected)


def _all_passes(run: Operations, dtype: torch.dtype, *, plain: bool) -> list[torch.Tensor]:
    """Give what each pass of a layer gives or writes, for equal inputs."""
    draw, tokens = Numbers(1, dtype), 17
    norm = draw.norm(48)
    heads = Heads(2, 3, 6) if plain else Heads(2, 3, 6, draw.norm(6), draw.norm(6))
    x, delta, wide = draw(tokens, 48), draw(tokens, 48), draw(tokens, 60)
    both, joint, logits = draw(tokens, 99), draw(tokens, 64), draw(tokens, 50)
    turn = torch.rand(tokens, 3, generator=draw.generator)
    angles = Angles(turn.cos(), turn.sin())
    total, normed, scale = run.norm(x, delta, norm, 2)
    found = [*run.norm(x, None, norm, 2)[::2], total, normed[:, :48], scale]
    found.append(run.norm_backward(delta, x, norm, scale, None))
    found.append(run.norm_backward(delta, x, norm, scale, wide))
    found.append(run.gated(both, 48, 4, tanh=not plain)[:, :48])
    run.gated_backward(both, delta, tanh=not plain)
    split = run.split(joint, heads, angles)
    run.join(joint, split, heads, angles)
    scores = run.score(logits, torch.arange(tokens), keep=True)
    return [*found, both, delta, *split, joint, *vars(scores).values(), logits]


def test_a_loss_that_is_not_finite_stays_so() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        run = passes("native", dtype)
        logits = torch.tensor([[0.0, float("nan"), 1.0]]).to(dtype)
        assert run.score(logits, torch.tensor([0]), keep=False).log_probs.isnan().all()


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(Uncompiled, match="no C compiler"):
        library(bfloat16=False)


def test_a_compiler_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_FLAGS", ("-no-such-flag",))
    with pytest.raises(Uncompiled, match="fails: "):
        library(bfloat16=False)
