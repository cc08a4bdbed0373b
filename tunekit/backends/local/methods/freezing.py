"""Full fine-tuning of the last blocks alone."""

from __future__ import annotations

from typing import Any

from tunekit.errors import SpecError


def freeze(model: Any, last: int) -> str:
    """Freeze all but the last blocks of a transformers model; say what learns.

    Raises:
        SpecError: the model has fewer blocks, or none that can be found.
    """
    blocks = _blocks(model)
    if last > len(blocks):
        raise SpecError(f"method.last_layers: is {last}, and the model has {len(blocks)} blocks")
    model.requires_grad_(False)
    # A new head for scores learns in any case.
    for part in (*blocks[-last:], *([model.score] if hasattr(model, "score") else [])):
        part.requires_grad_(True)
    learns = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    return f"{learns:,} weights of the last {last} of {len(blocks)} blocks learn"


def _blocks(model: Any) -> Any:
    """Give the list of blocks: the one that is as long as the config says."""
    number = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if type(module).__name__ == "ModuleList" and len(module) == number:
            return module
    raise SpecError(
        "method.last_layers: the blocks of this model cannot be told from its other modules; "
        "train all of it, or take method: lora"
    )
