"""The automatic learning rate: by objective, method, model and batch, with its arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tunekit.models import Model
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import Full
from tunekit.spec.objectives import SFT

ALPHA = 32
"""The alpha that the rates for adapters assume; a rate acts through rate x alpha."""
SHORT = 100
"""Optimizer steps below which a run counts as short."""

_EXPONENTS = {"llama": 0.781, "qwen": 0.0775}
_OTHER = 0.4

REGRET = "Schulman 2025, LoRA Without Regret"
_RULE = f"{REGRET}; tinker-cookbook"
_FULL = "alignment-handbook; arXiv 2310.16944"
_DPO_FULL = "alignment-handbook; arXiv 2405.14734"
_DPO_LORA = "tinker-cookbook; alignment-handbook"


# The papers of SimPO and ORPO train all weights; an adapter takes ten times their rate.
_SIMPO = "arXiv 2405.14734"
_ORPO = "arXiv 2403.07691; xfactlab/orpo; alignment-handbook"
_TENFOLD = f"x 10 for an adapter: {REGRET}"

_ROWS: dict[tuple[str, bool], tuple[tuple[tuple[float, float], ...], str]] = {
    ("sft", True): (((1e9, 5e-5), (5e9, 2e-5), (2e10, 1e-5), (math.inf, 5e-6)), _FULL),
    ("dpo", True): (((5e9, 1e-6), (math.inf, 5e-7)), _DPO_FULL),
    ("dpo", False): (((2e10, 1e-5), (math.inf, 5e-6)), _DPO_LORA),
    ("simpo", True): (((5e9, 1e-6), (2e10, 5e-7), (math.inf, 3e-7)), _SIMPO),
    ("simpo", False): (((5e9, 1e-5), (2e10, 5e-6), (math.inf, 3e-6)), f"{_SIMPO}; {_TENFOLD}"),
    ("orpo", True): (((5e9, 8e-6), (math.inf, 5e-6)), _ORPO),
    ("orpo", False): (((5e9, 8e-5), (math.inf, 5e-5)), f"{_ORPO}; {_TENFOLD}"),
}
"""By objective and whether all weights are trained: the rate up to a number of parameters."""


@dataclass(frozen=True)
class Rate:
    """A rate, how it was reached, and whose rule that is."""

    value: float
    reason: str
    source: str


def learning_rate(
    spec: FineTune, model: Model, *, batch: int, steps: int, alpha: float | None
) -> Change:
    """Choose the peak learning rate.

    Args:
        spec: method and objective decide which rule holds.
        model: family, hidden size and parameters; where unknown, a middle size is taken and said.
        batch: sequences per optimizer step.
        steps: optimizer steps of the run.
        alpha: of the adapter; None without one.
    """
    rate = _table(spec, model) if _by_table(spec) else _rule(model, batch=batch, steps=steps)
    reason, value = rate.reason, rate.value
    if alpha is not None and alpha != ALPHA:
        # To first order Adam moves the weights by rate x alpha, whatever the rank.
        value = min(0.1, value * ALPHA / alpha)
        reason += f"; x {ALPHA}/{alpha:g}, since alpha is {alpha:g} and not {ALPHA}"
    return Change(
        field="training.learning_rate",
        outcome="auto",
        asked="auto",
        used=float(f"{value:.1e}"),
        reason=reason,
        source=rate.source,
    )


def _by_table(spec: FineTune) -> bool:
    return isinstance(spec.method, Full) or not isinstance(spec.objective, SFT)


def _rule(model: Model, *, batch: int, steps: int) -> Rate:
    """Give the rate of SFT with an adapter."""
    hidden, exponent = model.hidden_size or 2000, _exponent(model.family)
    value = 5e-4 * (2000 / hidden) ** exponent * math.sqrt(min(batch, 128) / 128)
    reason = f"5e-4 x (2000/{hidden})^{exponent:g} x sqrt({min(batch, 128)}/128)"
    if steps < SHORT:
        value *= 1.5
        reason += f" x 1.5 for only {steps} steps"
    bounded = min(max(value, 2e-5), 5e-4)
    if bounded != value:
        reason += f" is {value:.1e}, kept between 2e-5 and 5e-4"
    size = "" if model.hidden_size else ", hidden size unknown, taken as 2000"
    return Rate(bounded, f"{reason} ({_family(model.family)}{size})", _RULE)


def _exponent(family: str | None) -> float:
    name = (family or "").lower()
    return next((power for start, power in _EXPONENTS.items() if name.startswith(start)), _OTHER)


def _family(family: str | None) -> str:
    if family is None:
        return "family unknown"
    return f"{family} family" if _exponent(family) != _OTHER else f"{family}: no rule of its own"


def _table(spec: FineTune, model: Model) -> Rate:
    """Give the rate of full fine-tuning, or of preferences, by the size of the model."""
    full = isinstance(spec.method, Full)
    rows, source = _ROWS[spec.objective.type, full]
    parameters = model.parameters or 8e9
    value = next(rate for limit, rate in rows if parameters <= limit)
    size = f"{parameters / 1e9:.2g} billion parameters"
    size += "" if model.parameters else " (taken, the size is unknown)"
    objective, method = type(spec.objective).__name__, "all weights" if full else "an adapter"
    what = f"{value:g} is usual for {objective} of {method} at {size}"
    return Rate(value, what + ("" if full else f" and alpha {ALPHA}"), source)
