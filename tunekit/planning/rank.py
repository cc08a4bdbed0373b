"""The automatic rank and scale of a low-rank adapter."""

from __future__ import annotations

import math

from tunekit.planning.learning_rate import ALPHA, REGRET
from tunekit.planning.picks import Picks, auto
from tunekit.planning.plan import Change
from tunekit.planning.serving import most_rank
from tunekit.planning.shape import rank_parameters, shape

_SOURCE = f"{REGRET}; arXiv 2404.05405"
_UNKNOWN = 16


def rank(picks: Picks) -> Change:
    """Pick the rank by the tokens that are trained on, within what is served."""
    size = shape(picks.model)
    if size is None:
        used, reason = _served(picks, _UNKNOWN, "nothing is known of the model's sizes")
        return auto("method.rank", used, reason, _SOURCE)
    low, high = _limits(picks, size.parameters)
    per_rank = rank_parameters(size, picks.value("method.target_modules"))
    need = 0.5 * picks.profile.trained_tokens / per_rank
    fitting = 1 << max(0, math.ceil(math.log2(need)) if need > 0 else 0)
    used = min(max(fitting, low), high)
    reason = (
        f"half a parameter for each of {picks.profile.trained_tokens:,} trained tokens, "
        f"at {per_rank:,} per rank: {need:.2g}"
    )
    if used != fitting:
        reason += f", kept between {low} and {high}"
    used, reason = _served(picks, used, reason)
    return auto("method.rank", used, reason, _SOURCE)


def _limits(picks: Picks, parameters: int) -> tuple[int, int]:
    if picks.objective == "grpo":
        # A reward says about one bit of an answer, however long it is.
        return 8, 32
    if picks.objective != "sft":
        return 8, 128
    if parameters <= 5e9:
        return 16, 128
    return (16, 64) if parameters <= 2e10 else (8, 32)


def _served(picks: Picks, used: int, reason: str) -> tuple[int, str]:
    most = most_rank(picks.spec)
    if most is None or used <= most:
        return used, reason
    return most, f"{reason}; {most} is what the server takes (output.max_lora_rank)"


def alpha(picks: Picks) -> Change:
    """Pick the alpha that the learning rates assume."""
    return auto("method.alpha", ALPHA, "the value that the learning rates assume", REGRET)
