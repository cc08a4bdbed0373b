"""How much of an adapter to use."""

from __future__ import annotations

import pytest

from tunekit.evaluation.forgetting import Divergence, Losses, Trained, judge
from tunekit.evaluation.mitigation import search
from tunekit.evaluation.verdict import Forgetting


def forgotten(divergence: float) -> Forgetting:
    rows = [Divergence(10 * divergence, 10, 0, 0)] * 4
    found = judge(Losses([], []), rows, profile="assistant", trained=Trained(adapter=True))
    assert found is not None
    return found


def curve(scale: float) -> tuple[float, Forgetting]:
    """The share of the gain and the divergence of a tiny Llama on a shifted Markov source."""
    gain = {1.0: 1.0, 0.9: 0.995, 0.8: 0.99, 0.7: 0.95, 0.6: 0.88, 0.5: 0.78}.get(scale, 0.3)
    return 3.0 - 2.0 * gain, forgotten(0.4 * scale**3)


@pytest.mark.parametrize(
    ("keep", "worst", "chosen", "tried"),
    [
        # Divergences: 0.40 0.29 0.20 0.14 0.086 0.05.
        (0.95, "warn", 0.9, 2),
        (0.85, "pass", 0.6, 5),
        # Between 0.7 and 0.6 one is tried, which forgets too much and keeps too little.
        (0.95, "pass", None, 6),
        (0.0, "fail", 1.0, 1),
    ],
)
def test_the_largest_scale_that_passes_and_keeps_the_gain_is_taken(
    keep: float, worst: str, chosen: float | None, tried: int
) -> None:
    found = search(3.0, curve, keep=keep, worst=worst)  # type: ignore[arg-type]
    assert found.chosen == chosen
    assert len(found.steps) == tried
    assert found.steps[0].kept == 1.0


def test_between_a_scale_that_forgets_and_one_that_keeps_too_little_others_are_tried() -> None:
    def look(scale: float) -> tuple[float, Forgetting]:
        return 3.0 - 2.0 * min(1.0, 2.5 * scale), forgotten(scale**2)

    # The limit of 0.10 is passed at 0.316; half of the gain is left at 0.2.
    found = search(3.0, look, keep=0.76)
    tried = (*(n / 10 for n in range(10, 2, -1)), 0.35, 0.325)
    assert [step.scale for step in found.steps] == pytest.approx(tried)
    assert found.chosen is None
    found = search(3.0, lambda scale: (look(scale)[0], forgotten(0.9 * scale**2)), keep=0.8)
    assert found.chosen == pytest.approx(0.325)


def test_the_gain_is_a_share_of_the_largest_at_any_scale() -> None:
    """A model that was trained too hot loses by its last part."""
    losses = {1.0: 3.5, 0.9: 2.0, 0.8: 1.5}

    def look(scale: float) -> tuple[float, Forgetting]:
        return losses.get(scale, 2.9), forgotten(0.05 if scale == 0.8 else 0.5)

    found = search(3.0, look)
    assert [step.kept for step in found.steps] == pytest.approx([-1 / 3, 2 / 3, 1.0])
    assert found.chosen == 0.8


def test_where_nothing_was_gained_nothing_is_kept() -> None:
    found = search(1.0, lambda scale: (1.0 + scale, forgotten(0.5)))
    assert found.chosen is None
    assert all(step.kept == 0 for step in found.steps)
