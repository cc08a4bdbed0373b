"""Prefix, Prompt and PTuning as arguments of PEFT."""

from __future__ import annotations

from typing import Any

from tunekit.backends.local.peft_arguments.found import Found, given
from tunekit.planning.ledger import Ledger


def prefix(use: Ledger) -> Found:
    """Give the arguments of PrefixTuningConfig, and what the prefix begins with."""
    tokens = use.take("method.num_virtual_tokens")
    return Found(
        peft={"peft_type": "PREFIX_TUNING", "num_virtual_tokens": tokens},
        own=_begins(use, usual="data"),
    )


def prompt(use: Ledger) -> Found:
    """Give the arguments of PromptTuningConfig, and the text that the prompt begins with."""
    random = use.value("method.init") == "random"
    return Found(
        peft={
            "peft_type": "PROMPT_TUNING",
            "num_virtual_tokens": use.take("method.num_virtual_tokens"),
            "prompt_tuning_init": "RANDOM" if random else "SAMPLE_VOCAB",
        },
        own=_begins(use, usual="vocabulary"),
    )


def ptuning(use: Ledger) -> Found:
    """Give the arguments of PromptEncoderConfig; a width that is not set is the model's."""
    encoder = use.take("method.encoder")
    asked: dict[str, Any] = {
        "encoder_num_layers": use.value("method.encoder_num_layers"),
        "encoder_dropout": use.value("method.encoder_dropout"),
    }
    for name in asked:
        if encoder == "lstm":
            use.take(f"method.{name}")
        else:
            use.drop(f"method.{name}", "the MLP has none; it is a setting of the LSTM")
    return Found(
        peft={
            "peft_type": "P_TUNING",
            "num_virtual_tokens": use.take("method.num_virtual_tokens"),
            "encoder_reparameterization_type": encoder.upper(),
            **given(encoder_hidden_size=use.take("method.encoder_hidden_size")),
            **(asked if encoder == "lstm" else {}),
        }
    )


def _begins(use: Ledger, *, usual: str) -> dict[str, Any]:
    text = use.take("method.init_text")
    if text is not None:
        use.drop("method.init", "init_text says how they begin")
        return {"init": "text", "init_text": text}
    return {"init": use.take("method.init")}
