"""What the training rewards, and which kind of rows that takes."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from tunekit.spec.strict import Auto, Strict


class SFT(Strict):
    """Supervised fine-tuning: raise the likelihood of the answers."""

    type: Literal["sft"] = "sft"
    """The answers are imitated."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"conversation", "completion", "text"})
    train_on: Auto | Literal["assistant", "completion", "all"] = "auto"
    """Tokens that count: every assistant turn, the last answer only, or all.
    "auto": "assistant" for conversations, "completion" for prompt/completion, "all" for text."""


def _usual_beta(fields: dict[str, Any]) -> float:
    """Give DPO's beta where it is not set: Rafailov et al. 0.1, Tulu 3 (length-normalised) 5."""
    return 5.0 if fields.get("length_normalized") else 0.1


class DPO(Strict):
    """Direct preference optimisation: prefer the chosen answer.

    Rafailov et al. 2023, arXiv 2305.18290. Two variants of it, which can be combined:
    length-normalised DPO (Lambert et al. 2024, arXiv 2411.15124) and RPO, which also imitates the
    chosen answers (Pang et al. 2024, arXiv 2404.19733).
    """

    type: Literal["dpo"] = "dpo"
    """Better answers are preferred to worse ones."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"preference"})
    length_normalized: bool = False
    """Compare log-ratios per token, not summed: longer answers are no longer preferred as such."""
    beta: Annotated[float, Field(gt=0)] = Field(default_factory=_usual_beta)
    """Strength of the pull towards the base model; larger stays closer.
    Usual: 0.1, and with `length_normalized`, whose log-ratios are far smaller, 5 (Tulu 3)."""
    sft_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the chosen answers' negative log-likelihood per token, added to the loss (RPO)."""


class SimPO(Strict):
    """Prefer the chosen answer by its log-probability per token, by a margin, without a reference.

    Meng et al. 2024, arXiv 2405.14734: -log sigmoid(beta x (chosen - rejected) - gamma). The
    defaults are the paper's for Llama-3-8B; gamma = beta / 2 is where its authors advise to start.
    """

    type: Literal["simpo"] = "simpo"
    """Better answers are preferred to worse ones, by a margin and without a reference model."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"preference"})
    beta: Annotated[float, Field(gt=0)] = 2.0
    """Scale of the difference in log-probability per token: 2 to 2.5 in the paper, or up to 10."""
    gamma: Annotated[float, Field(ge=0)] = 1.0
    """Margin that the difference, times beta, should exceed: 0 to beta."""


class ORPO(Strict):
    """Imitate the chosen answer and prefer it by its odds, in one step and without a reference.

    Hong et al. 2024, arXiv 2403.07691: NLL - beta x log sigmoid(log odds ratio), the odds from the
    log-probability per token. Made for base models that were not fine-tuned before.
    """

    type: Literal["orpo"] = "orpo"
    """Better answers are imitated and preferred to worse ones, without a reference model."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"preference"})
    beta: Annotated[float, Field(gt=0)] = 0.1
    """Weight of the odds ratio, the paper's lambda; 0.1 trained its Mistral-ORPO."""


def _shorthand(value: Any) -> Any:
    return {"type": value.lower()} if isinstance(value, str) else value


ObjectiveName = Literal["sft", "dpo", "simpo", "orpo"]

_Tagged = Annotated[SFT | DPO | SimPO | ORPO, Field(discriminator="type")]

Objective = Annotated[
    _Tagged,
    BeforeValidator(_shorthand, json_schema_input_type=ObjectiveName | _Tagged),
]
