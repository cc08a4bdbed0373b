"""Methods that a provider does not have: refused by name, each field with its reason."""

from __future__ import annotations

from tunekit.planning.ledger import Ledger
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import Full, LoRA, QLoRA

RANK, ALPHA = 16, 32
"""Of the LoRA that a run goes on with where it may leave things out (strict=False)."""

_OPTIONS = ("use_rslora", "use_dora", "lr_ratio", "init", "last_layers")


def trains(use: Ledger, spec: FineTune, provider: str) -> bool:
    """Say whether the method is LoRA, QLoRA or full fine-tuning; refuse what goes beyond them.

    The fields of any other method are accounted for here; of those three, the options that no
    provider has.
    """
    method = spec.method
    if not isinstance(method, (Full, LoRA, QLoRA)):
        reason = f"{provider} trains all weights, or a LoRA; the local backend has {method.type}"
        use.refuse_value("method.type", method.type, reason, used="lora")
        for name in type(method).model_fields:
            if name != "type":
                use.refuse(f"method.{name}", reason)
        return False
    usual = type(method)()
    for name in _OPTIONS:
        if name not in type(method).model_fields:
            continue
        if getattr(method, name) == getattr(usual, name):
            use.take(f"method.{name}")
        else:
            use.refuse(f"method.{name}", f"{provider} has no setting for it; local has")
    return True
