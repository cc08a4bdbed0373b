"""LoHa and LoKr as arguments of PEFT."""

from __future__ import annotations

from typing import Any

from tunekit.backends.local.peft_arguments.found import Found, targets
from tunekit.planning.ledger import Ledger


def loha(use: Ledger) -> Found:
    """Give the arguments of LoHaConfig."""
    return Found(peft={"peft_type": "LOHA", **_product(use)})


def lokr(use: Ledger) -> Found:
    """Give the arguments of LoKrConfig."""
    return Found(
        peft={
            "peft_type": "LOKR",
            **_product(use),
            "decompose_both": use.take("method.decompose_both"),
            "decompose_factor": use.take("method.decompose_factor"),
        }
    )


def _product(use: Ledger) -> dict[str, Any]:
    return {
        "r": use.take("method.rank"),
        "alpha": use.take("method.alpha"),
        "rank_dropout": use.take("method.rank_dropout"),
        "module_dropout": use.take("method.module_dropout"),
        "target_modules": targets(use),
    }
