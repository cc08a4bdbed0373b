"""The tokenizer of a model, without its weights."""

from __future__ import annotations

from typing import Any

from tunekit import embedded, models
from tunekit.errors import MissingExtra, SpecError

_NO_LIMIT = 10**9
"""What transformers says of a model without one is larger."""


def load(model: str | Any) -> Any:
    """Load the tokenizer of a model; one that is loaded is given back.

    Raises:
        MissingExtra: transformers is not installed.
        SpecError: there is no such model.
    """
    if not isinstance(model, str):
        return model
    try:
        import transformers
    except ImportError:
        raise MissingExtra(
            "counting tokens needs transformers: pip install 'tunekit-sdk[local]'"
        ) from None
    vendor: Any = transformers
    source = str(embedded.folder()) if model.startswith("embedded:") else model
    try:
        return vendor.AutoTokenizer.from_pretrained(source)
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise SpecError(f"model: the tokenizer of {model!r} cannot be loaded: {first}") from None


def name(model: str | Any) -> str:
    """Say whose tokenizer it is."""
    return model if isinstance(model, str) else str(getattr(model, "name_or_path", ""))


def context(model: str | Any, tokenizer: Any) -> int | None:
    """Give the tokens that a model takes, which `training.max_length: auto` becomes; or None."""
    known = None
    if isinstance(model, str):
        try:
            known = models.describe(model).context
        except SpecError:
            # A folder may hold a tokenizer and nothing else.
            known = None
    limit = int(tokenizer.model_max_length)
    return known or (limit if limit < _NO_LIMIT else None)
