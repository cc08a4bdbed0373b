"""IA3, VeRA and LNTuning as arguments of PEFT."""

from __future__ import annotations

from tunekit.backends.local.peft_arguments.found import Found, targets
from tunekit.planning.ledger import Ledger


def ia3(use: Ledger) -> Found:
    """Give the arguments of IA3Config."""
    return Found(
        peft={
            "peft_type": "IA3",
            "target_modules": targets(use),
            "feedforward_modules": list(use.take("method.feedforward_modules")),
        }
    )


def vera(use: Ledger) -> Found:
    """Give the arguments of VeraConfig; the random matrices are saved, not drawn again."""
    return Found(
        peft={
            "peft_type": "VERA",
            "r": use.take("method.rank"),
            "vera_dropout": use.take("method.dropout"),
            "target_modules": targets(use),
            "bias": "none",
            "d_initial": use.take("method.d_initial"),
            "projection_prng_key": use.take("method.projection_prng_key"),
            "save_projection": True,
        }
    )


def lntuning(use: Ledger) -> Found:
    """Give the arguments of LNTuningConfig; the worker finds the norms."""
    return Found(peft={"peft_type": "LN_TUNING", "target_modules": targets(use)})
