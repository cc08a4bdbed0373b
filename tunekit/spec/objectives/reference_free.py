"""Better answers that are preferred to worse ones without a reference model."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tunekit.spec.strict import Strict


class SimPO(Strict):
    """Prefer the chosen answer by its log-probability per token, by a margin, without a reference.

    For chat models after SFT. Meng et al. 2024, arXiv 2405.14734:
    -log sigmoid(beta x (chosen - rejected) - gamma). The defaults are the paper's for Llama-3-8B;
    gamma = beta / 2 is where its authors advise to start.
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

    For base models that were not fine-tuned before. Hong et al. 2024, arXiv 2403.07691:
    NLL - beta x log sigmoid(log odds ratio), the odds from the log-probability per token.
    """

    type: Literal["orpo"] = "orpo"
    """Better answers are imitated and preferred to worse ones, without a reference model."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"preference"})
    beta: Annotated[float, Field(gt=0)] = 0.1
    """Weight of the odds ratio, the paper's lambda; 0.1 trained its Mistral-ORPO."""


class CPO(Strict):
    """Contrastive preference optimisation: DPO without a reference, and imitation beside it.

    For tasks such as translation, where even good references have faults that imitation alone
    would learn. Xu et al. 2024, arXiv 2401.08417: -log sigmoid(beta x (chosen - rejected)) + NLL,
    with summed log-probabilities. The defaults are those of TRL's trainer.
    """

    type: Literal["cpo"] = "cpo"
    """Better answers are imitated and preferred to worse ones, as if the reference were uniform."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"preference"})
    beta: Annotated[float, Field(gt=0)] = 0.1
    """Scale of the difference in log-probability."""
    sft_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the chosen answers' negative log-likelihood per token."""
