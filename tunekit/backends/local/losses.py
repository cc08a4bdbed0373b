"""Preference losses that need no reference model, over the forward pass of TRL's DPOTrainer.

TRL keeps trainers for them in `trl.experimental`, which tokenise rows by their own rules, cut them
at 512 tokens unless told otherwise and hold the logits of every token. DPOTrainer's forward takes
the rows as they are and gives log-probabilities in portions, so only the losses are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import logsigmoid
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

_SURE = -1e-6
"""Log-probability per token above which an answer counts as learnt by heart."""


@dataclass(frozen=True)
class Answers:
    """What the model makes of the answers of a batch."""

    chosen: torch.Tensor
    """Log-probability per token of each chosen answer."""
    rejected: torch.Tensor
    """Log-probability per token of each rejected answer."""
    nll: torch.Tensor
    """Mean negative log-likelihood of the tokens of all chosen answers."""
    chosen_tokens: torch.Tensor
    """How many tokens each chosen answer has."""
    rejected_tokens: torch.Tensor
    """How many tokens each rejected answer has."""


def simpo(answers: Answers, *, beta: float, gamma: float) -> torch.Tensor:
    """Compute SimPO's loss (Meng et al. 2024, arXiv 2405.14734)."""
    return -logsigmoid(beta * (answers.chosen - answers.rejected) - gamma).mean()


def orpo(answers: Answers, *, beta: float) -> torch.Tensor:
    """Compute ORPO's loss (Hong et al. 2024, arXiv 2403.07691).

    The likelihood is that of the answer, as in the paper; TRL's trainer counts the prompt as well.
    """
    ratio = _log_odds(answers.chosen) - _log_odds(answers.rejected)
    return answers.nll - beta * logsigmoid(ratio).mean()


def cpo(answers: Answers, *, beta: float, sft_weight: float) -> torch.Tensor:
    """Compute CPO's loss (Xu et al. 2024, arXiv 2401.08417)."""
    chosen, rejected = sums(answers)
    return -logsigmoid(beta * (chosen - rejected)).mean() + sft_weight * answers.nll


def sums(answers: Answers) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the log-probability of each chosen and rejected answer, summed over its tokens."""
    return (
        answers.chosen * answers.chosen_tokens,
        answers.rejected * answers.rejected_tokens,
    )


def _log_odds(mean: torch.Tensor) -> torch.Tensor:
    """Give log(p / (1 - p)) of p = exp(mean); bounded, since 1 - p can round to nothing."""
    mean = mean.clamp(max=_SURE)
    return mean - torch.log(-torch.expm1(mean))


@dataclass
class SimPOConfig(DPOConfig):  # type: ignore[misc]
    """DPOConfig with SimPO's margin."""

    gamma: float = 1.0


@dataclass
class CPOConfig(DPOConfig):  # type: ignore[misc]
    """DPOConfig with the weight of CPO's imitation."""

    sft_weight: float = 1.0


class PreparedDPO(DPOTrainer):  # type: ignore[misc]
    """DPOTrainer over rows that hold token ids already."""

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset


class _ReferenceFree(PreparedDPO):
    """A preference trainer that never loads or asks a reference model."""

    args: Any
    model: Any
    accelerator: Any
    _metrics: Any

    def __init__(self, *, args: Any, peft_config: Any, **rest: Any) -> None:
        # Without an adapter DPOTrainer loads a second model, unless its answers are known before.
        args.precompute_ref_log_probs = peft_config is None
        super().__init__(args=args, peft_config=peft_config, **rest)

    def _precompute_ref_logps(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset

    def _loss(self, answers: Answers) -> torch.Tensor:
        raise NotImplementedError

    def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
        mask = inputs["completion_mask"]
        outputs = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            labels=inputs["input_ids"].masked_fill(mask == 0, -100),
            use_cache=False,
            fused_lm_head=True,
            **({"output_router_logits": True} if self.aux_loss_enabled else {}),
        )
        answers = _answers(outputs.log_probs, mask[:, 1:])
        loss = self._loss(answers)
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * outputs.aux_loss
        self._note(answers, inputs["attention_mask"].sum())
        return (loss, outputs) if return_outputs else loss

    def _logps(self, answers: Answers) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the log-probabilities that the loss compares: here those per token."""
        return answers.chosen, answers.rejected

    def _note(self, answers: Answers, tokens: torch.Tensor) -> None:
        """Keep figures for the log by the names of TRL; a reward is beta x logps."""
        noted = self._metrics["train" if self.model.training else "eval"]
        chosen, rejected, nll, counts = (
            self.accelerator.gather(part.detach())
            for part in (*self._logps(answers), answers.nll, tokens)
        )
        figures = {
            "logps/chosen": chosen,
            "logps/rejected": rejected,
            "rewards/chosen": self.beta * chosen,
            "rewards/rejected": self.beta * rejected,
            "rewards/margins": self.beta * (chosen - rejected),
            "rewards/accuracies": (chosen > rejected).float(),
            "nll_loss": nll,
        }
        for name, values in figures.items():
            noted[name].append(values.mean().item())
        if self.model.training:
            self._total_train_tokens += int(counts.sum().item())
        noted["num_tokens"] = [self._total_train_tokens]


def _answers(log_probs: torch.Tensor, mask: torch.Tensor) -> Answers:
    """Average over each answer's tokens; the first half of a batch was chosen."""
    # Virtual tokens of a prompt method stand before the row's own.
    log_probs = log_probs[:, -mask.shape[1] :] * mask
    totals, counts = log_probs.sum(dim=1), mask.sum(dim=1)
    (chosen, rejected), half = (totals / counts.clamp(min=1)).chunk(2), len(totals) // 2
    return Answers(
        chosen,
        rejected,
        nll=-totals[:half].sum() / counts[:half].sum().clamp(min=1),
        chosen_tokens=counts[:half],
        rejected_tokens=counts[half:],
    )


class SimPO(_ReferenceFree):
    """Trains by SimPO."""

    def _loss(self, answers: Answers) -> torch.Tensor:
        return simpo(answers, beta=self.beta, gamma=self.args.gamma)


class ORPO(_ReferenceFree):
    """Trains by ORPO."""

    def _loss(self, answers: Answers) -> torch.Tensor:
        return orpo(answers, beta=self.beta)


class CPO(_ReferenceFree):
    """Trains by CPO."""

    def _loss(self, answers: Answers) -> torch.Tensor:
        return cpo(answers, beta=self.beta, sft_weight=self.args.sft_weight)

    def _logps(self, answers: Answers) -> tuple[torch.Tensor, torch.Tensor]:
        return sums(answers)
