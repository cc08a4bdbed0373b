"""OFT and BOFT as arguments of PEFT."""

from __future__ import annotations

from tunekit.backends.local.peft_arguments.found import Found, targets
from tunekit.planning.ledger import Ledger


def oft(use: Ledger) -> Found:
    """Give the arguments of OFTConfig; the number of blocks follows from their size."""
    return Found(
        peft={
            "peft_type": "OFT",
            "r": 0,
            "oft_block_size": use.take("method.block_size"),
            "module_dropout": use.take("method.module_dropout"),
            "block_share": use.take("method.block_share"),
            "target_modules": targets(use),
            "bias": "none",
        }
    )


def boft(use: Ledger) -> Found:
    """Give the arguments of BOFTConfig; the number of blocks follows from their size."""
    return Found(
        peft={
            "peft_type": "BOFT",
            "boft_block_size": use.take("method.block_size"),
            "boft_block_num": 0,
            "boft_n_butterfly_factor": use.take("method.butterfly_factors"),
            "boft_dropout": use.take("method.dropout"),
            "target_modules": targets(use),
            "bias": "none",
        }
    )
