"""A base with a head that gives one number for a row, instead of the next token."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tunekit.errors import SpecError


def load(source: str, *, seed: int, options: dict[str, Any]) -> Any:
    """Load the base and put a new head on it, drawn with the seed and kept in float32.

    Raises:
        SpecError: transformers has no such head for this architecture.
    """
    transformers: Any = import_module("transformers")
    transformers.set_seed(seed)
    kind = transformers.AutoModelForSequenceClassification
    try:
        model = kind.from_pretrained(source, num_labels=1, **options)
    except ValueError as error:
        if "Unrecognized configuration class" not in str(error):
            raise
        raise SpecError(
            f"objective: reward needs a head for scores, and transformers has none for {source}"
        ) from error
    if not hasattr(model, "score"):
        raise SpecError(
            f"objective: reward puts its head at `score`, and {type(model).__name__} has none there"
        )
    # A step of Adam is too small for a weight in bfloat16 to notice.
    model.score.float()
    model.score.register_forward_pre_hook(_in_its_precision)
    model.score.requires_grad_(True)
    return model


def _in_its_precision(head: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return (given[0].to(head.weight.dtype), *given[1:])
