"""How much of an adapter to use: the most that forgets little enough and keeps the gain."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict

from tunekit.evaluation.compare import Comparison
from tunekit.evaluation.verdict import Forgetting, Status

SCALES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
KEEP = 0.95
"""Share of the gain that must be left."""
HALVINGS = 2
"""Scales that are tried between two of the above, one of which forgets too much."""
_ORDER: tuple[Status, ...] = ("fail", "warn", "pass")


class Step(BaseModel):
    """A scale that was tried: 1 is the adapter as it is, 0 would be the base."""

    model_config = ConfigDict(frozen=True)

    scale: float
    loss: float
    """On the held-out rows, in nats per token."""
    kept: float
    """The gain over the base, as a share of the largest gain at any scale."""
    forgetting: Forgetting


class Mitigation(BaseModel):
    """The scales that were tried, and the one that was chosen."""

    model_config = ConfigDict(frozen=True)

    base_loss: float
    steps: tuple[Step, ...]
    chosen: float | None = None
    """None where no scale forgets little enough and keeps the gain."""
    comparison: Comparison | None = None
    """Base against the tuned model at the chosen scale."""


def search(
    base_loss: float,
    look: Callable[[float], tuple[float, Forgetting]],
    *,
    keep: float = KEEP,
    worst: Status = "pass",
) -> Mitigation:
    """Try scales from 1 down until one forgets little enough, or too little of the gain is left.

    Where the last one forgets little enough and the one before keeps enough, some between them are
    tried too.

    Args:
        base_loss: The base's loss on the held-out rows.
        look: Gives loss and forgetting of the tuned model at a scale.
        keep: Share of the gain that must be left.
        worst: The worst that may be forgotten.
    """
    seen: list[tuple[float, float, Forgetting]] = []

    def step(scale: float) -> Step:
        seen.append((scale, *look(scale)))
        return _steps(base_loss, seen)[-1]

    for scale in SCALES:
        last = step(scale)
        if _fits(last, keep, worst):
            break
        # Beyond the scale that gains most, less of the adapter gains less.
        if last.kept < keep and last.loss > min(found for _, found, _ in seen):
            if _mild(last, worst):
                _between(step, last.scale, seen[-2][0], keep=keep, worst=worst)
            break
    steps = _steps(base_loss, seen)
    return Mitigation(base_loss=base_loss, steps=steps, chosen=choose(steps, keep, worst))


def _between(
    step: Callable[[float], Step], low: float, high: float, *, keep: float, worst: Status
) -> None:
    """Halve the gap between a scale that keeps too little and one that forgets too much."""
    for _ in range(HALVINGS):
        found = step((low + high) / 2)
        if _fits(found, keep, worst) or (found.kept < keep and not _mild(found, worst)):
            return
        low, high = (found.scale, high) if _mild(found, worst) else (low, found.scale)


def choose(steps: Sequence[Step], keep: float, worst: Status) -> float | None:
    """Give the largest scale that forgets little enough and keeps the gain."""
    return max((step.scale for step in steps if _fits(step, keep, worst)), default=None)


def _fits(step: Step, keep: float, worst: Status) -> bool:
    return _mild(step, worst) and step.kept >= keep


def _mild(step: Step, worst: Status) -> bool:
    """Say whether it forgets little enough."""
    return _ORDER.index(step.forgetting.status) >= _ORDER.index(worst)


def _steps(base_loss: float, seen: Sequence[tuple[float, float, Forgetting]]) -> tuple[Step, ...]:
    most = max(base_loss - loss for _, loss, _ in seen)
    return tuple(
        Step(
            scale=scale,
            loss=loss,
            kept=(base_loss - loss) / most if most > 0 else 0.0,
            forgetting=forgotten,
        )
        for scale, loss, forgotten in seen
    )
