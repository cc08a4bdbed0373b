"""Adapters that begin as something: what is saved is what they have learnt since.

PiSSA and OLoRA move a part of the base into the adapter; LoftQ puts the error of rounding there.
An adapter B A of theirs, which began as B0 A0, is saved as [B, -B0] [A; A0] = B A - B0 A0: a plain
LoRA of twice the rank, for the base as it was (PEFT's `save_pretrained` with
`path_initial_model_for_weight_conversion`).
"""

from __future__ import annotations

import shutil
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from tunekit.errors import SpecError

_TOLERANCE = 1e-4
"""Of the largest weight; the same arithmetic on the same machine gives the same factors."""


def keep(model: Any, folder: Path) -> None:
    """Save what the adapter begins with, once; a restart must begin with the same.

    Raises:
        SpecError: it does not, as on another machine: its checkpoints fit another base.
    """
    library: Any = import_module("safetensors.torch")
    if folder.exists():
        file = folder / "adapter_model.safetensors"
        _require_same(library.load_file(file), _state(model))
        return
    config = model.peft_config["default"]
    before, config.init_lora_weights = config.init_lora_weights, True
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    config.init_lora_weights = before
    part.replace(folder)


def save(model: Any, into: Path, initial: Path) -> None:
    """Save the adapter without what it began with."""
    with warnings.catch_warnings():
        # Both adapters are on the model while one is taken off the other, which PEFT warns of.
        warnings.filterwarnings("ignore", "PiSSA changes|OLoRA changes|`path_initial_model")
        model.save_pretrained(into, path_initial_model_for_weight_conversion=str(initial))


def _state(model: Any) -> Any:
    peft: Any = import_module("peft")
    return peft.get_peft_model_state_dict(model)


def _require_same(kept: Any, found: Any) -> None:
    for name, tensor in kept.items():
        difference = (found[name].float().cpu() - tensor.float()).abs().max().item()
        if not difference <= _TOLERANCE * tensor.float().abs().max().item():
            raise SpecError(
                f"method.init: {name} begins otherwise than before the restart, so the weights of "
                "the checkpoint do not fit this base; start a new run, or take init: default"
            )
