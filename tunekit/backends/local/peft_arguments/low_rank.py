"""LoRA, QLoRA and AdaLoRA as arguments of PEFT."""

from __future__ import annotations

import math

from tunekit.backends.local.peft_arguments.found import Found, given, targets
from tunekit.planning.ledger import Ledger

CONVERTED = frozenset({"pissa", "olora", "loftq"})
"""Inits whose adapter is no identity at the start, so what they began with is taken off at the
end; the first two rewrite the base as well."""


def lora(use: Ledger) -> Found:
    """Give the arguments of LoraConfig; also for QLoRA, whose base is another matter."""
    init = use.take("method.init")
    return Found(
        peft={
            "peft_type": "LORA",
            "r": use.take("method.rank"),
            "lora_alpha": use.take("method.alpha"),
            "lora_dropout": use.take("method.dropout"),
            "target_modules": targets(use),
            "bias": "none",
            "use_rslora": use.take("method.use_rslora"),
            "use_dora": use.take("method.use_dora"),
            # LoftQ over a base that is quantised already is done by the worker.
            "init_lora_weights": True if init in ("default", "loftq") else init,
        },
        own=given(
            init=init if init in CONVERTED | {"eva"} else None,
            lr_ratio=use.take("method.lr_ratio"),
        ),
    )


def adalora(use: Ledger) -> Found:
    """Give the arguments of AdaLoraConfig; steps are known to the worker only."""
    rank = use.take("method.rank")
    first = use.value("method.initial_rank") or math.ceil(1.5 * int(rank))
    return Found(
        peft={
            "peft_type": "ADALORA",
            "target_r": rank,
            "init_r": use.adapt("method.initial_rank", first, "1.5 x rank, as in the paper"),
            "lora_alpha": use.take("method.alpha"),
            "lora_dropout": use.take("method.dropout"),
            "target_modules": targets(use),
            "bias": "none",
            "deltaT": use.take("method.prune_every"),
            "orth_reg_weight": use.take("method.orth_reg_weight"),
        },
        own={
            "prune_start": use.take("method.prune_start"),
            "prune_end": use.take("method.prune_end"),
        },
    )
