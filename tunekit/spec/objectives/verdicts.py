"""Answers that were judged one by one, and the model that learns to judge."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tunekit.spec.strict import Auto, Strict

Weight = Annotated[float, Field(gt=0)]


class KTO(Strict):
    """Kahneman-Tversky optimisation: raise wanted answers, lower unwanted ones; no pairs needed.

    For thumbs up and down. Ethayarajh et al. 2024, arXiv 2402.01306. A pair is taken as one wanted
    and one unwanted answer.
    """

    type: Literal["kto"] = "kto"
    """Wanted answers are raised, unwanted ones lowered."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"judged", "preference"})
    beta: Annotated[float, Field(gt=0)] = 0.1
    """Strength of the pull towards the base model; larger stays closer. 0.1 in the paper."""
    desirable_weight: Auto | Weight = "auto"
    """Weight of wanted answers. "auto": 1, or more where they are the rarer kind, so that
    weight x wanted to weight x unwanted lies between 1:1 and 4:3 (the paper, equation 8)."""
    undesirable_weight: Auto | Weight = "auto"
    """Weight of unwanted answers, by the same rule."""


class Reward(Strict):
    """Train a model that scores answers, so that the chosen one of a pair scores higher.

    For ranking answers. Its result gives one number for a chat and cannot answer. Bradley and Terry
    1952; Ouyang et al. 2022, arXiv 2203.02155: -log sigmoid(score of chosen - score of rejected).
    """

    type: Literal["reward"] = "reward"
    """A model of scores: the chosen answer of a pair should score higher."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"preference"})
    center_rewards_coefficient: Annotated[float, Field(ge=0)] = 0.01
    """Weight of the squared sum of both scores, which keeps their mean near 0 and leaves their
    order alone; 0.01 in Eisenstein et al. 2023, arXiv 2312.09244, equation 2."""
