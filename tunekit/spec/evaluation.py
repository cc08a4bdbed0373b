"""What is compared before and after, and where the result is put."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field

from tunekit.spec.gate import Gated
from tunekit.spec.judge import Judge
from tunekit.spec.metrics import Metrics
from tunekit.spec.strict import Auto, Strict

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def _a_name(value: Any) -> Any:
    if isinstance(value, str) and not re.match(_NAME, value):
        raise ValueError(
            "must begin with a letter or digit and go on with up to 63 of these or '.', '_', '-', "
            f"not {value[:80]!r}"
        )
    return value


def _schema(value: Any) -> Any:
    """Refuse what is no JSON Schema."""
    if not isinstance(value, Mapping):
        return value
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    given = dict(cast("Mapping[str, Any]", value))
    try:
        cast("Any", validator_for(cast("Any", given))).check_schema(given)
    except SchemaError as error:
        raise ValueError(f"is no JSON Schema: {error.message}") from None
    return given


class Evaluation(Strict):
    """The comparison of base and tuned model on held-out rows."""

    enabled: bool = True
    """Measure base and tuned; needs validation rows."""
    metrics: Metrics = "auto"
    """What to measure, the one that decides first: names, or functions 'module:function' and
    'file.py:function' that make a number of answer and reference. "auto": by what the held-out
    answers are: JSON, labels, numbers, prose or pairs."""
    generations: Annotated[int, Field(ge=0, le=10_000)] | Auto = "auto"
    """Held-out prompts that both models answer, greedily. "auto": a tenth of the rows trained
    on, 16 to 200."""
    examples: Annotated[int, Field(ge=0, le=100)] = 3
    """Answers shown side by side at the end."""
    max_new_tokens: Annotated[int, Field(ge=1)] | Auto = "auto"
    """Longest answer in tokens. "auto": a quarter more than the longest that was held out, at
    most 512."""
    json_schema: Annotated[dict[str, Any] | None, BeforeValidator(_schema)] = None
    """JSON Schema of the answers. None: keys and types that all held-out answers share."""
    profile: Literal["assistant", "specialist"] = "assistant"
    """What the model is for: a specialist may forget twice as much before it is said."""
    forgetting: bool | Auto = "auto"
    """Measure what was forgotten, on general texts and prompts. "auto": on as many of them as
    cost a thirtieth of the training; true: on all."""
    overfitting: bool | Auto = "auto"
    """Measure whether training rows were learnt by heart. "auto": on as many of them as cost a
    fiftieth of the training; true: on 50."""
    gate: Gated = None
    """What must hold for the model to be shipped, or `tunekit run` and `tunekit eval` exit with 7.
    true: improved, and no worse than "warn" for what was forgotten."""
    judge: Judge | None = None
    """A model that compares the answers of base and tuned model."""


class Output(Strict):
    """Where the result goes."""

    name: Annotated[
        Annotated[str, Field(pattern=_NAME)] | None,
        BeforeValidator(_a_name),
    ] = None
    """A name to find the run by; part of its id."""
    folder: str | None = None
    """Copy the adapter (or model) here when the run has succeeded; must not exist or be empty."""
    serve: Literal["multi-lora"] | None = None
    """How the adapter will be served. "multi-lora": beside others over one base, as by vLLM; the
    plan then refuses what such a server would refuse."""
    max_lora_rank: Annotated[int, Field(ge=1, le=512)] = 16
    """The highest rank that the server takes, vLLM's setting of this name; 16 is its default."""
