"""Methods that learn what stands before the prompt: Prefix, Prompt and PTuning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunekit.spec.methods.fields import Dropout, Size, Tokens
from tunekit.spec.strict import Strict

InitText = Annotated[str, Field(min_length=1)] | None


class Prefix(Strict):
    """Train keys and values that every layer sees before the prompt (arXiv 2101.00190)."""

    type: Literal["prefix"] = "prefix"
    """Keys and values before the prompt learn; the base is frozen."""
    num_virtual_tokens: Tokens = 50
    """Length of the prefix. Usual: 10 to 200 in the paper; 50 was best of PEFT's comparison."""
    init: Literal["data", "random"] = "data"
    """How they begin: as what the model computes for the first tokens of the training rows; at
    random the model is far worse at first, and stays worse in PEFT's comparison."""
    init_text: InitText = None
    """Begin with this text in place of rows, repeated or cut to the length of the prefix."""


class Prompt(Strict):
    """Train the embeddings of a few tokens before the prompt (Lester et al., arXiv 2104.08691)."""

    type: Literal["prompt"] = "prompt"
    """Embeddings before the prompt learn; the base is frozen."""
    num_virtual_tokens: Tokens = 50
    """Number of embeddings. Usual: 20 to 100 in the paper."""
    init: Literal["vocabulary", "random"] = "vocabulary"
    """How they begin: as tokens drawn from the vocabulary; "random" is far worse in the paper and
    in PEFT's comparison."""
    init_text: InitText = None
    """Begin with this text, such as the task in words, repeated or cut to their number."""


class PTuning(Strict):
    """Train a small network that makes the embeddings before the prompt (arXiv 2103.10385)."""

    type: Literal["ptuning"] = "ptuning"
    """A network that makes embeddings before the prompt learns; the base is frozen."""
    num_virtual_tokens: Tokens = 20
    """Number of embeddings. Usual: 20 in PEFT's examples."""
    encoder: Literal["mlp", "lstm"] = "mlp"
    """The network, `encoder_reparameterization_type` in PEFT: an MLP, or a two-way LSTM."""
    encoder_hidden_size: Size | None = None
    """Its width. None: that of the model."""
    encoder_num_layers: Size = 2
    """Layers of the LSTM, 2 in PEFT. The MLP has three of its own."""
    encoder_dropout: Dropout = 0.0
    """Share of the LSTM's activations set to zero while training. Usual: 0."""
