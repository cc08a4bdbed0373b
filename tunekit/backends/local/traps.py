"""Combinations that would run and train the wrong thing, or fail late: refused in the plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from tunekit.adapters.configs import faults
from tunekit.adapters.peft_types.table import TYPES
from tunekit.backends.local.peft_arguments.low_rank import CONVERTED
from tunekit.models import Model
from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Change
from tunekit.planning.shape import Shape, shape
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import BOFT, OFT, AdaLoRA, Full, LoRA, Peft, QLoRA

SOFT = frozenset({"PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING"})
"""Methods that put virtual tokens before each row."""
HELD_IN_4_BITS = frozenset({"LORA", "ADALORA", "IA3", "HIRA", "PVERA", "RANDLORA", "ROAD"})
"""Methods of PEFT 0.21 with a layer over bitsandbytes' 4-bit ones (`peft/tuners/*/bnb.py`)."""

_REFERENCE = "DPO, IPO, KTO and GRPO with a beta"


def refuse(use: Ledger, spec: FineTune, model: Model, *, request: dict[str, Any]) -> None:
    """Refuse what this method cannot do here, each with the way out."""
    method = spec.method
    peft: dict[str, Any] = request["peft"] or {}
    if isinstance(method, (LoRA, QLoRA)):
        _init(use, spec, method)
    if isinstance(method, QLoRA) and method.use_dora and request["device"] == "cpu":
        use.refuse_value("method.use_dora", True, _QDORA)
    if isinstance(method, Full):
        _blocks(use, method, model)
    if isinstance(method, (OFT, BOFT)):
        _sizes(use, method, shape(model))
    if isinstance(method, BOFT) and method.butterfly_factors > 1 and request["device"] == "cpu":
        use.refuse_value("method.butterfly_factors", method.butterfly_factors, _BUTTERFLY)
    if isinstance(method, AdaLoRA) and peft["init_r"] <= peft["target_r"]:
        use.refuse_value("method.initial_rank", peft["init_r"], _NOTHING_TO_CUT)
    if isinstance(method, Peft):
        _other(use, method)
    _head(use, peft)
    if peft.get("peft_type") in SOFT:
        _soft(use, spec, request)
    if request["model"]["quantization"] and peft and peft["peft_type"] not in HELD_IN_4_BITS:
        use.refuse_value(
            "extra",
            request["model"]["quantization"],
            f"PEFT has no {peft['peft_type']} over a quantised base; take qlora, or the whole base",
        )


def unsloth(use: Ledger, spec: FineTune) -> None:
    """Refuse what Unsloth's own adapters and full fine-tuning do not have."""
    method = spec.method
    if not isinstance(method, (Full, LoRA, QLoRA)):
        reason = "Unsloth trains full, lora and qlora; the peft engine trains this: engine: peft"
        use.refuse_value("method.type", method.type, reason)
        return
    usual = type(method)()
    for name in ("use_dora", "init", "lr_ratio", "last_layers"):
        asked = getattr(method, name, None)
        if asked != getattr(usual, name, None):
            reason = "tunekit's Unsloth engine leaves it out; the peft engine has it: engine: peft"
            use.refuse_value(f"method.{name}", asked, reason)


def asks_reference(spec: FineTune) -> bool:
    """Say whether the objective asks what the model was before training."""
    objective = spec.objective
    if objective.type == "grpo":
        return objective.beta > 0
    return objective.type in ("dpo", "ipo", "kto")


def warnings(spec: FineTune, request: dict[str, Any]) -> tuple[str, ...]:
    """Say what is allowed and yet worth knowing."""
    config: dict[str, Any] = request["peft"] or {}
    kind = config.get("peft_type")
    if kind in SOFT and asks_reference(spec) and "start" not in request:
        return (
            f"{type(spec.method).__name__} is no identity at the start, so the first loss is not "
            "that of equal models (log 2 in DPO); the reference is the base without virtual tokens",
        )
    return (_SLOW,) if kind == "BOFT" else ()


def _init(use: Ledger, spec: FineTune, method: LoRA | QLoRA) -> None:
    init = method.init
    if init not in CONVERTED:
        return
    if isinstance(method, LoRA) and init == "loftq":
        use.refuse_value("method.init", init, _LOFTQ)
    elif isinstance(method, QLoRA) and method.quantization == "int8":
        reason = "LoftQ makes up for rounding to 4 bits; take quantization: nf4, or another init"
        use.refuse_value("method.init", init, reason)
    elif asks_reference(spec):
        use.refuse_value("method.init", init, _REWRITES)
    elif method.use_dora:
        use.refuse_value(
            "method.init",
            init,
            "PEFT saves such an adapter as a LoRA without DoRA's lengths; leave out use_dora, or "
            "init",
        )
    else:
        use.note(
            Change(
                field="method.init",
                outcome="adapted",
                asked=init,
                used=f"saved as a LoRA of rank {2 * int(use.value('method.rank'))}",
                reason="what the adapter began with is taken off again in as many ranks, so that "
                "the result is a LoRA for the untouched base",
            )
        )


def _other(use: Ledger, method: Peft) -> None:
    """Refuse a config of PEFT whose adapter would not be taken, or not be trained as it should."""
    kind = str(method.config["peft_type"])
    if kind in _OWN:
        reason = f"tunekit trains it in a way of its own: method: {{type: {_OWN[kind]}}}"
        use.refuse_value("method.config", kind, reason)
    elif kind not in TYPES and kind != "LORA":
        known = ", ".join(sorted({"LORA", *TYPES} - _OWN.keys()))
        reason = f"tunekit takes no adapter unchecked, and has checks for these types only: {known}"
        use.refuse_value("method.config", kind, reason)
    elif fault := faults(kind, method.config):
        use.refuse_value("method.config", method.config, fault)


def _blocks(use: Ledger, method: Full, model: Model) -> None:
    asked, there = method.last_layers, model.layers
    if asked is not None and there is not None and asked > there:
        use.refuse_value("method.last_layers", asked, f"the model has {there} blocks")


def _sizes(use: Ledger, method: OFT | BOFT, size: Shape | None) -> None:
    """Refuse blocks that do not divide the inputs; PEFT would take another size for some layers."""
    if size is None:
        return
    whole = method.block_size
    if isinstance(method, BOFT):
        whole *= 2 ** (method.butterfly_factors - 1)
    wrong = sorted({width for width in (size.h, size.q, size.i) if width % whole})
    if wrong and method.target_modules == "all-linear":
        use.refuse_value(
            "method.block_size",
            method.block_size,
            f"{whole} does not divide the {_listed(wrong)} inputs of some layers; "
            f"{_divisor(size, whole)} does",
        )


def _divisor(size: Shape, most: int) -> int:
    widths = (size.h, size.q, size.i)
    return next(n for n in range(most, 0, -1) if not any(width % n for width in widths))


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join(f"{number:,}" for number in numbers)


def _head(use: Ledger, peft: dict[str, Any]) -> None:
    targets = peft.get("target_modules")
    if not isinstance(targets, list) or peft["task_type"] != "CAUSAL_LM":
        return
    named = cast("list[str]", targets)
    if heads := [name for name in named if name.rpartition(".")[2] == "lm_head"]:
        use.refuse_value(
            "method.target_modules",
            heads[0],
            "TRL computes log-probabilities from lm_head.weight itself, so an adapter there would "
            "not learn (trl/trainer/sft_trainer.py); leave it out",
        )


def _soft(use: Ledger, spec: FineTune, request: dict[str, Any]) -> None:
    """Virtual tokens stand before a row of a batch, so each row needs one of its own."""
    trainer = request["trainer"]
    if trainer.get("packing"):
        use.refuse_value(
            "training.packing",
            True,
            "virtual tokens stand before a whole sequence, and only the first of the packed rows "
            "would see them; pack with lora, or leave packing out",
        )
    for name in ("packing", "padding_free"):
        if trainer.get(name):
            trainer[name] = False
    if request["peft"]["peft_type"] == "PREFIX_TUNING" and trainer["gradient_checkpointing"]:
        reason = "a prefix is a cache of keys and values, which checkpointing cannot compute again"
        if spec.training.gradient_checkpointing is True:
            use.refuse_value("training.gradient_checkpointing", True, reason)
        else:
            use.note(
                Change(
                    field="training.gradient_checkpointing",
                    outcome="adapted",
                    asked=True,
                    used=False,
                    reason=reason,
                )
            )
        trainer["gradient_checkpointing"] = False


_OWN = {"ADALORA": "adalora", "P_TUNING": "ptuning"}
_SLOW = (
    "BOFT multiplies square matrices as wide as the inputs of each layer in every step "
    "(peft/tuners/boft/layer.py), which the estimate of time leaves out; oft is far faster"
)
_BUTTERFLY = (
    "PEFT multiplies rotations by a CUDA kernel and leaves out all but the first without it "
    "(peft/tuners/boft/layer.py); take butterfly_factors: 1, or a CUDA device"
)
_NOTHING_TO_CUT = "must be more than rank: AdaLoRA cuts the one down to the other"
_QDORA = (
    "on a CPU bitsandbytes repacks 4-bit weights for its kernels, and DoRA, which unpacks them in "
    "every step, then reads garbage (bitsandbytes 0.50, quant_state.packing_format_for_cpu); "
    "take qlora without use_dora, or lora with it"
)
_LOFTQ = (
    "LoftQ makes up for the rounding of a quantised base (arXiv 2310.08659), and this one is not "
    "rounded; write method: {type: qlora, init: loftq}"
)
_REWRITES = (
    f"{_REFERENCE} compare with the base, which is the model with its adapter off; with this init "
    "that is another model (DPO's first loss is 0.6942, not log 2, with pissa in TRL 1.16); take "
    "init: eva, or an objective without a reference, such as simpo"
)
