"""The rank that a task needs, read off what was learnt."""

from __future__ import annotations

from typing import Any

import pytest

from tunekit.evaluation.rank import rank, spectrum


def learnt(teacher: int, student: int, *, seed: int) -> dict[str, tuple[float, ...]]:
    """Train a LoRA of rank `student` to give what a random update of rank `teacher` gives.

    Three layers of width 48, by least squares over random inputs; gives the singular values.
    """
    import torch

    pick = torch.Generator().manual_seed(seed)
    found: dict[str, tuple[float, ...]] = {}
    for layer in range(3):
        wide = 48
        left = torch.randn(wide, teacher, generator=pick) / wide**0.5
        wanted = left @ torch.randn(teacher, wide, generator=pick)
        first = (torch.randn(student, wide, generator=pick) / wide**0.5).requires_grad_()
        second = torch.zeros(wide, student).requires_grad_()
        learner = torch.optim.Adam([first, second], lr=2e-2)
        for _ in range(250):
            inputs = torch.randn(64, wide, generator=pick)
            error = inputs @ (second @ first - wanted).T + 0.05 * torch.randn(
                64, wide, generator=pick
            )
            learner.zero_grad()
            (error**2).mean().backward()
            learner.step()
        values = torch.linalg.svdvals((second @ first).detach())[:student]
        found[f"layers.{layer}"] = tuple(float(value) for value in values)
    return found


CASES = [
    *((teacher, student, "too small") for teacher, student in ((8, 2), (8, 4), (16, 4), (16, 8))),
    *((teacher, teacher, "fine") for teacher in (4, 8, 16)),
    *((teacher, student, "too large") for teacher, student in ((2, 8), (4, 16), (8, 32))),
]


@pytest.mark.slow
def test_the_verdict_is_right_in_nine_of_ten_cases_of_known_rank() -> None:
    wrong = [
        (teacher, student, seed, found.verdict if found else None)
        for teacher, student, verdict in CASES
        for seed in range(3)
        if (found := rank(learnt(teacher, student, seed=seed))) is None or found.verdict != verdict
    ]
    assert len(CASES) * 3 == 30
    assert len(wrong) <= 3, wrong


def values(*found: float) -> dict[str, tuple[float, ...]]:
    return {"layers.0": tuple(found)}


def test_the_effective_rank_counts_directions_that_are_used() -> None:
    flat = spectrum("a", [2.0, 2.0, 2.0, 2.0])
    assert (flat.effective, flat.energy, flat.rank) == (pytest.approx(4.0), 4, 4)
    one = spectrum("a", [5.0, 0.0, 0.0])
    assert (one.effective, one.energy) == (pytest.approx(1.0), 1)
    # Shares 0.8 and 0.2: exp(0.8 log 1.25 + 0.2 log 5).
    two = spectrum("a", [2.0, 1.0])
    assert two.effective == pytest.approx(1.25**0.8 * 5**0.2)
    assert spectrum("a", [10.0, 1.0, 0.1]).energy == 1
    assert spectrum("a", [0.0, 0.0]).effective == 0


@pytest.mark.parametrize(
    ("found", "verdict", "suggested"),
    [
        (values(*[1.0] * 8), "too small", 16),
        (values(8, 7, 6, 5, 4, 3, 2, 1), "fine", 8),
        (values(8, 6, *[0.01] * 14), "too large", 2),
        (values(8, 6, 5, *[0.01] * 13), "too large", 4),
    ],
)
def test_a_verdict_says_which_rank_to_take(found: Any, verdict: str, suggested: int) -> None:
    made = rank(found)
    assert made is not None
    assert (made.verdict, made.suggested) == (verdict, suggested)
    assert bool(made.advice) == (verdict != "fine")


def test_an_adapter_that_learnt_nothing_has_no_verdict() -> None:
    assert rank({}) is None
    assert rank(values(0.0, 0.0)) is None
