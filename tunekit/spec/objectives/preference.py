"""Better answers that are preferred to worse ones, measured against a reference model."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from tunekit.spec.strict import Strict


def _usual_beta(fields: dict[str, Any]) -> float:
    """Give DPO's beta where it is not set: Rafailov et al. 0.1, Tulu 3 (length-normalised) 5."""
    return 5.0 if fields.get("length_normalized") else 0.1


def _usual_smoothing(fields: dict[str, Any]) -> float:
    """Give the share of wrong labels where it is not set: that of the paper of robust DPO."""
    return 0.1 if fields.get("loss") == "robust" else 0.0


class DPO(Strict):
    """Direct preference optimisation: prefer the chosen answer.

    For chat models after SFT, from pairs of a better and a worse answer. Rafailov et al. 2023,
    arXiv 2305.18290. Variants of it: another loss, length-normalised DPO (Lambert et al. 2024,
    arXiv 2411.15124) and RPO, which also imitates the chosen answers (Pang et al. 2024,
    arXiv 2404.19733).
    """

    type: Literal["dpo"] = "dpo"
    """Better answers are preferred to worse ones."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"preference"})
    loss: Literal["sigmoid", "hinge", "robust"] = "sigmoid"
    """Of the margin m, beta x the difference of log-ratios: -log sigmoid(m); max(0, 1 - m), which
    stops at a margin of 1 (SLiC, arXiv 2305.10425; RSO, arXiv 2309.06657); or the first one
    corrected for pairs that are the wrong way round (arXiv 2403.00409)."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = Field(default_factory=_usual_smoothing)
    """Share of pairs that are the wrong way round, with the robust loss; usual 0.1."""
    length_normalized: bool = False
    """Compare log-ratios per token, not summed: longer answers are no longer preferred as such."""
    beta: Annotated[float, Field(gt=0)] = Field(default_factory=_usual_beta)
    """Strength of the pull towards the base model; larger stays closer.
    Usual: 0.1, and with `length_normalized`, whose log-ratios are far smaller, 5 (Tulu 3)."""
    sft_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the chosen answers' negative log-likelihood per token, added to the loss (RPO)."""


class IPO(Strict):
    """Identity preference optimisation: prefer the chosen answer by a fixed gap, and no further.

    For pairs on which DPO overfits, such as clear-cut ones. Azar et al. 2023, arXiv 2310.12036:
    (difference of log-ratios - 1 / (2 beta)) squared.
    """

    type: Literal["ipo"] = "ipo"
    """Better answers are preferred to worse ones, by a fixed gap."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"preference"})
    beta: Annotated[float, Field(gt=0)] = 0.1
    """The paper's tau: the gap to reach is 1 / (2 beta). Where log-ratios are averaged per token,
    as here, 0.1 asks for 5 nats per token; usual: 0.1 to 1."""
