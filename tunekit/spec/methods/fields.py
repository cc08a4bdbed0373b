"""Kinds of values that several methods share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunekit.spec.strict import Auto, below

Names = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
"""Names of layers, or endings of their names."""

Targets = Literal["all-linear"] | Names
"""Which linear layers; "all-linear": those of attention and MLP, not the head."""

Rank = Annotated[int, Field(ge=1, le=512)]
AutoRank = Rank | Auto
Scale = Annotated[float, Field(gt=0)]
AutoScale = Scale | Auto
Size = Annotated[int, Field(ge=1)]
Tokens = Annotated[int, Field(ge=1, le=4096)]

Dropout = Annotated[
    Annotated[float, Field(ge=0, lt=1)],
    below(1, "is a share, below 1: write {share} for {value} %"),
]
