"""The automatic schedule: passes, batch, the shape of the rate, and checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tunekit.planning.picks import FEWEST_STEPS, Picks, auto
from tunekit.planning.plan import Change

_PASSES = ((100, 4, "under 100"), (500, 3, "100 to 499"), (2000, 2, "500 to 1,999"))
_BATCHES: Mapping[str, tuple[int, ...]] = {"sft": (16, 8, 4), "kto": (32, 16, 8)}
"""Sequences per step, the most that is usual first."""
_PAIRS = (64, 32, 16, 8)
_PROMPTS = (8, 4, 2, 1)
"""Of a rollout: prompts per step, each with all its answers."""
_BATCH_SOURCES: Mapping[str, str] = {
    "sft": "arXiv 2602.09492",
    "kto": "TRL, KTO trainer; arXiv 2402.01306",
    "grpo": "TRL, GRPOConfig",
}
_HANDBOOK = "alignment-handbook; arXiv 2405.14734"


def epochs(picks: Picks) -> Change:
    """Pick the passes over the rows."""
    rows = picks.profile.rows
    most, source = 1, "Azure fine-tuning guidance"
    if picks.objective == "orpo":
        most, source = 3, f"{source}; arXiv 2403.07691"
    used, group = next(
        ((n, name) for limit, n, name in _PASSES if rows < limit), (most, "2,000 or more")
    )
    used = max(used, most)
    reason = f"{group} rows take {used} pass{'es' if used > 1 else ''}; there are {rows:,}"
    if most > 1:
        reason += "; ORPO is trained in place of SFT"
    if picks.spec.training.max_steps is not None:
        reason += "; max_steps decides where the run ends"
    return auto("training.epochs", used, reason, source)


def batch_size(picks: Picks) -> Change:
    """Pick the sequences per optimizer step: the most that is usual and makes enough steps."""
    sizes = _sizes(picks)
    fitting = [size for size in sizes if size <= picks.sequences] or [_least(picks)]
    enough = [size for size in fitting if picks.steps(size) >= FEWEST_STEPS]
    size = enough[0] if enough else fitting[-1]
    unit = _unit(picks)
    used = unit * math.ceil(size / unit)
    reason = f"{picks.sequences:,} sequences make {picks.steps(used):,} optimizer steps"
    if size < sizes[0]:
        reason += f"; {sizes[0]} at a time would make {picks.steps(sizes[0])}"
        reason += f", and {FEWEST_STEPS} are wanted"
    if picks.objective == "grpo":
        reason += f"; {picks.answers} answers to a prompt are in one step"
    if used != size:
        reason += f"; a multiple of {unit}, for {picks.machine.devices} devices"
    source = _BATCH_SOURCES.get(picks.objective, "arXiv 2310.16944")
    return auto("training.batch_size", used, reason, source)


def _sizes(picks: Picks) -> tuple[int, ...]:
    if picks.objective == "grpo":
        return tuple(picks.answers * count for count in _PROMPTS)
    return _BATCHES.get(picks.objective, _PAIRS)


def _least(picks: Picks) -> int:
    """Give a batch for fewer rows than the smallest usual one."""
    below = 1 << (picks.sequences.bit_length() - 1)
    # The KL estimate of KTO compares each answer with another row's prompt.
    return max(2, below) if picks.objective == "kto" else below


def _unit(picks: Picks) -> int:
    """Give what a batch must be a multiple of: all devices do the same."""
    devices = max(1, picks.machine.devices)
    if picks.objective == "kto":
        return 2 * devices
    return math.lcm(devices, picks.answers)


def scheduler(picks: Picks) -> Change:
    """Pick the shape of the rate after the warm-up."""
    if picks.method == "bottleneck":
        return auto("training.scheduler", "linear", "usual for bottlenecks", "AdapterHub, training")
    reason = "falls to zero at the end, slowly at first; linear does as well"
    return auto("training.scheduler", "cosine", reason, "alignment-handbook; artidoro/qlora")


def warmup_ratio(picks: Picks) -> Change:
    """Pick the share of the steps in which the rate rises."""
    name = "training.warmup_ratio"
    if picks.objective != "sft":
        return auto(name, 0.1, f"usual for {type(picks.spec.objective).__name__}", _HANDBOOK)
    if picks.method == "full":
        return auto(name, 0.1, "usual where all weights learn", "alignment-handbook")
    return auto(name, 0.03, "usual for adapters", "artidoro/qlora")


def checkpoint_steps(picks: Picks) -> Change:
    """Pick the steps between checkpoints."""
    steps = picks.steps(int(picks.value("training.batch_size")))
    used = max(10, math.ceil(steps / 5))
    reason = f"a fifth of {steps:,} optimizer steps, and at least 10"
    return auto("training.checkpoint_steps", used, reason)
