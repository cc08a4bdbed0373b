"""The automatic learning rate: by objective, method, model and batch, with its arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tunekit.models import Model
from tunekit.planning import rates
from tunekit.planning.plan import Change, Estimate
from tunekit.spec.finetune import FineTune
from tunekit.spec.objectives import SFT

ALPHA = 32
"""The alpha that the rates for adapters assume; a rate acts through rate x alpha."""
USUAL = 20_000
"""Sequences of the shortest run whose published rate the rules meet (PEFT's comparison)."""
LONGEST = 32
"""How many times shorter a run may be and count as such: the range of the law below."""
HIGHEST = 0.1

_EXPONENTS = {"llama": 0.781, "qwen": 0.0775}
_OTHER = 0.4

REGRET = "Schulman 2025, LoRA Without Regret"
_RULE = f"{REGRET}; tinker-cookbook"
_HORIZON = 0.32
_HORIZON_SOURCE = "arXiv 2409.19913"
_IMITATED = 1e-4
"""The rate of a LoRA beside which those of other objectives stand, at 7 to 14 billion."""


@dataclass(frozen=True)
class Rate:
    """A rate, how it was reached, and whose rule that is."""

    value: float
    reason: str
    source: str

    def times(self, factor: float, why: str) -> Rate:
        """Multiply, and say why."""
        return Rate(self.value * factor, f"{self.reason}; {why}", self.source)


@dataclass(frozen=True)
class Scale:
    """What the update of an adapter is multiplied with."""

    alpha: float
    rank: int
    rslora: bool = False

    @property
    def effect(self) -> float:
        """Give s x r / 32, by which a rate counts; s is alpha / r, with rsLoRA alpha / sqrt(r).

        To first order Adam moves the weights by rate x s x r, since B is zero at the start.
        """
        return self.alpha * (math.sqrt(self.rank) if self.rslora else 1) / ALPHA

    @property
    def remedy(self) -> str:
        """Say what a rate for alpha 32 is multiplied with."""
        said = [] if self.alpha == ALPHA else [f"x {ALPHA}/{self.alpha:g}"]
        why = [] if self.alpha == ALPHA else [f"alpha is {self.alpha:g} and not {ALPHA}"]
        if self.rslora:
            said.append(f"/ sqrt({self.rank})")
            why.append("rsLoRA divides by the root of the rank")
        return f"{' '.join(said)}, since {' and '.join(why)}"


def scale(method: Any, value: Callable[[str], Any]) -> Scale | None:
    """Read the scale of a low-rank adapter; None for other methods, and while it is open.

    Args:
        method: of a spec.
        value: gives a field of the spec with its automatic value.
    """
    if method.type in ("lora", "qlora", "adalora"):
        alpha, rank = value("method.alpha"), value("method.rank")
        rslora = bool(getattr(method, "use_rslora", False))
    elif method.type == "peft" and method.config["peft_type"] == "LORA":
        alpha, rank = method.config.get("lora_alpha", 8), method.config.get("r", 8)
        rslora = bool(method.config.get("use_rslora", False))
    else:
        return None
    if isinstance(alpha, str) or isinstance(rank, str):
        return None
    return Scale(float(alpha), int(rank), rslora)


def learning_rate(
    spec: FineTune, model: Model, *, batch: int, steps: int, scale: Scale | None
) -> Change:
    """Choose the peak learning rate.

    Args:
        spec: method and objective decide which rule holds.
        model: family, hidden size and parameters; where unknown, a middle size is taken and said.
        batch: sequences per optimizer step.
        steps: optimizer steps of the run.
        scale: of a low-rank adapter; None for other methods.
    """
    rate = _adjusted(_for_run(spec, model, batch=batch, steps=steps), spec.method, scale)
    return Change(
        field="training.learning_rate",
        outcome="auto",
        asked=spec.training.learning_rate,
        used=float(f"{min(HIGHEST, rate.value):.1e}"),
        reason=rate.reason,
        source=rate.source,
    )


def effective(rate: float, scale: Scale) -> Estimate:
    """Give what a rate comes to at alpha 32, by which rates can be compared."""
    return Estimate(
        name="effective rate",
        value=float(f"{rate * scale.effect:.1e}"),
        unit=f"at alpha {ALPHA}",
        reason=f"learning_rate x {_effect(scale)}; an adapter learns by rate x alpha",
    )


def _effect(scale: Scale) -> str:
    return f"{scale.alpha:g}" + (f" x sqrt({scale.rank})" if scale.rslora else "") + f"/{ALPHA}"


def _adjusted(rate: Rate, method: Any, scale: Scale | None) -> Rate:
    """Take account of the scale of the adapter, and of a second rate."""
    if scale is not None and scale.effect != 1:
        rate = rate.times(1 / scale.effect, scale.remedy)
    own = rates.own(method)
    if own is not None and own.scale is not None:
        factor = own.scale / _usual_scale(method)
        rate = rate.times(factor, f"x {factor:.3g}, since alpha / rank is not {own.scale:g}")
    if (getattr(method, "lr_ratio", None) or 1) > 1:
        rate = rate.times(0.5, "x 0.5 beside a higher rate for B (PEFT, create_loraplus_optimizer)")
    return rate


def _usual_scale(method: Any) -> float:
    """Give alpha / rank of a LoHa or LoKr."""
    if method.type != "peft":
        return float(method.alpha / method.rank)
    return float(method.config.get("alpha", 8) / method.config.get("r", 8))


def _for_run(spec: FineTune, model: Model, *, batch: int, steps: int) -> Rate:
    """Give the rate of a run of so many steps, at the usual scale of an adapter."""
    rate = _published(spec, model, batch=batch)
    usual = rates.STEPS.get(spec.objective.type)
    if usual is None:
        return _bounded(_horizon(rate, spec, sequences=batch * steps), spec, model)
    if steps >= usual:
        return rate
    imitation = spec.model_copy(update={"objective": SFT()})
    most = _for_run(imitation, model, batch=batch, steps=steps)
    return _as_far(rate, usual, steps=steps, most=most.value)


def _published(spec: FineTune, model: Model, *, batch: int) -> Rate:
    method: Any = spec.method
    if method.type == "full":
        return _table(spec, model, full=True)
    if own := rates.own(method):
        return _own(spec, model, own)
    if spec.objective.type == "sft":
        return _rule(model, batch=batch)
    return _table(spec, model, full=False)


def _as_far(rate: Rate, usual: int, *, steps: int, most: float) -> Rate:
    """Let a short run go as far from the reference as a published one, no faster than by SFT.

    Adam's steps are about as long as the rate, so the way is rate x steps. Decision 16.
    """
    value = max(rate.value, min(rate.value * usual / max(1, steps), most))
    why = f"x {value / rate.value:.3g} for {steps:,} steps in the place of {usual:,}"
    if value == most:
        why += f", no more than SFT would take, {most:.1e}"
    return Rate(value, f"{rate.reason}; {why}", f"{rate.source}; tunekit, decision 16")


def _rule(model: Model, *, batch: int) -> Rate:
    """Give the rate of SFT with a low-rank adapter."""
    hidden, exponent = model.hidden_size or 2000, _exponent(model.family)
    value = 5e-4 * (2000 / hidden) ** exponent * math.sqrt(min(batch, 128) / 128)
    reason = f"5e-4 x (2000/{hidden})^{exponent:g} x sqrt({min(batch, 128)}/128)"
    size = "" if model.hidden_size else ", hidden size unknown, taken as 2000"
    return Rate(value, f"{reason} ({_family(model.family)}{size})", _RULE)


def _horizon(rate: Rate, spec: FineTune, *, sequences: int) -> Rate:
    """Raise the rate of a short run: the best one falls with the data's 0.32th power.

    Bjorck et al. 2025, arXiv 2409.19913, for pretraining over a range of 32; carried over here.
    """
    if sequences >= USUAL or spec.objective.type == "grpo":
        return rate
    factor = min(USUAL / max(1, sequences), LONGEST) ** _HORIZON
    why = f"x {factor:.2g} for only {sequences:,} sequences in all"
    longer = rate.times(factor, why)
    return Rate(longer.value, longer.reason, f"{rate.source}; {_HORIZON_SOURCE}")


def _bounded(rate: Rate, spec: FineTune, model: Model) -> Rate:
    """Keep a rate where such rates have been seen to train."""
    low, high = _bounds(spec, model)
    bounded = min(max(rate.value, low), high)
    if bounded == rate.value:
        return rate
    why = f"which is {rate.value:.1e}; kept between {low:g} and {high:g}"
    return Rate(bounded, f"{rate.reason}, {why}", rate.source)


def _bounds(spec: FineTune, model: Model) -> tuple[float, float]:
    method, objective = spec.method.type, spec.objective.type
    if method in ("lora", "qlora") and objective == "sft":
        # In tinker-cookbook's sweep 1e-3 was best for small models; 3e-3 diverged for most.
        return 2e-5, 1e-3 if (model.parameters or 8e9) <= 5e9 else 5e-4
    own = rates.own(spec.method) if method != "full" else None
    return 0.0, own.most if own is not None and own.most is not None else HIGHEST


def _exponent(family: str | None) -> float:
    name = (family or "").lower()
    return next((power for start, power in _EXPONENTS.items() if name.startswith(start)), _OTHER)


def _family(family: str | None) -> str:
    if family is None:
        return "family unknown"
    return f"{family} family" if _exponent(family) != _OTHER else f"{family}: no rule of its own"


def _table(spec: FineTune, model: Model, *, full: bool) -> Rate:
    """Give the rate of full fine-tuning, or of preferences, by the size of the model."""
    row = (rates.FULL if full else rates.ADAPTER)[spec.objective.type]
    value, guessed = row.at(model.parameters or 8e9)
    size = f"{(model.parameters or 8e9) / 1e9:.2g} billion parameters"
    size += "" if model.parameters else " (taken, the size is unknown)"
    what = "all weights" if full else "an adapter"
    usual = "extrapolated" if guessed else "usual"
    reason = f"{value:g} is {usual} for {type(spec.objective).__name__} of {what} at {size}"
    return Rate(value, reason + ("" if full else f" and alpha {ALPHA}"), row.source)


def _own(spec: FineTune, model: Model, own: rates.Own) -> Rate:
    """Give the rate of a method that is no LoRA; for another objective scaled as LoRA's is."""
    rate = Rate(own.rate, f"{own.rate:g} for {type(spec.method).__name__}: {own.why}", own.source)
    if own.width is not None and model.hidden_size:
        exponent = _exponent(model.family)
        why = f"x ({own.width}/{model.hidden_size})^{exponent:g} as with LoRA"
        rate = rate.times((own.width / model.hidden_size) ** exponent, why)
    row = rates.ADAPTER.get(spec.objective.type)
    if row is None:
        return rate
    factor = row.at(model.parameters or 8e9)[0] / _IMITATED
    name = type(spec.objective).__name__
    return rate.times(factor, f"x {factor:g} for {name}, as with LoRA; extrapolated")
