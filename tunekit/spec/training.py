"""How long, how fast, in what portions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tunekit.spec.strict import Auto, Strict, at_most, below

PositiveInt = Annotated[int, Field(ge=1)]


class Replay(Strict):
    """Answers to general prompts, mixed into the rows so that less is forgotten."""

    source: Literal["general", "self"] = "general"
    """"general": chats that come with tunekit. "self": what the base itself says to prompts."""
    ratio: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Rows mixed in, as a share of yours. Usual: 0.05 to 0.25."""


def _replay(value: Any) -> Any:
    """Take the source alone."""
    return {"source": value} if isinstance(value, str) else value


class Training(Strict):
    """Hyperparameters; the plan picks what is "auto" and gives its reason."""

    epochs: Annotated[
        Annotated[float, Field(gt=0, le=1000)] | Auto,
        at_most(1000, "counts passes over the data; for {value} optimizer steps set max_steps"),
    ] = "auto"
    """Passes over the data. "auto": 1 to 4 by the number of rows."""
    max_steps: PositiveInt | None = None
    """Optimizer steps after which to stop, whatever `epochs` says."""
    batch_size: PositiveInt | Auto = "auto"
    """Sequences per optimizer step, over all devices and accumulation."""
    learning_rate: Annotated[
        Annotated[float, Field(gt=0, le=0.1)] | Literal["auto", "sweep"],
        at_most(0.1, "{value} is larger than any rate that trains; 2e-4 is usual for LoRA"),
    ] = "auto"
    """Peak learning rate. "auto": by model family and size, batch, method and objective. "sweep":
    the best on held-out rows of a third of it, itself and three times it, after short runs."""
    scheduler: Literal["cosine", "linear", "constant"] | Auto = "auto"
    """Shape of the learning rate after the warm-up. "auto": cosine, for bottlenecks linear."""
    warmup_ratio: Annotated[
        Annotated[float, Field(ge=0, lt=1)] | Auto,
        below(
            1,
            "is a share of all steps, below 1: for {value} steps out of N "
            "write what {value} / N comes to, such as 0.03",
        ),
    ] = "auto"
    """Share of the steps in which the learning rate rises from zero. "auto": 0.03 for adapters
    that imitate, else 0.1."""
    max_length: PositiveInt | Auto = "auto"
    """Longest row in tokens. "auto": the model's context; with packing 2,048, or more if a row
    needs it."""
    packing: bool = False
    """Join short rows into sequences of `max_length`, without attention between them."""
    weight_decay: Annotated[
        Annotated[float, Field(ge=0, le=10)],
        at_most(10, "{value} would shrink the weights to nothing; 0.01 to 0.1 is usual"),
    ] = 0.0
    """Decoupled weight decay of AdamW."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are scaled down to this norm."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seeds initialisation, order of the rows, dropout and the validation split."""
    dtype: Literal["float32", "bfloat16"] | Auto = "auto"
    """Precision of weights and arithmetic. "auto": bfloat16 where the device is fast at it."""
    gradient_checkpointing: bool | Auto = "auto"
    """Recompute activations to save memory. "auto": only when memory asks for it."""
    checkpoint_steps: PositiveInt | Auto = "auto"
    """Optimizer steps between checkpoints. "auto": about five per run."""
    early_stopping: PositiveInt | None = None
    """Checkpoints without a lower held-out loss after which to stop; the best one is kept."""
    replay: Annotated[
        Replay | None,
        BeforeValidator(_replay, json_schema_input_type=Literal["general", "self"] | Replay | None),
    ] = None
    """General chats mixed in, so that less is forgotten: a source, or an object with settings."""
