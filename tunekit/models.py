"""What is known of a model without loading it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Family, sizes and template of a model; None where nothing is known."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    id: str
    """As the spec names it."""
    family: str | None = None
    """`model_type` of its config: llama, qwen3, ..."""
    parameters: int | None = None
    hidden_size: int | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    intermediate_size: int | None = None
    vocab_size: int | None = None
    context: int | None = None
    """Longest sequence in tokens."""
    tied_embeddings: bool | None = None
    dtype: str | None = None
    """Precision the weights are stored in."""
    chat_template: str | None = None
    folder: str | None = None
    """Where its files are on this machine."""
    known_from: str = "nothing"
    """`folder`, `cache`, `hub`, `embedded` or `nothing`."""
