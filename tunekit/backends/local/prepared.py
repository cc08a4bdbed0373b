"""TRL's trainers of judged answers, scores and rollouts, over rows that are token ids already.

Left to themselves they tokenise by their own rules; RewardTrainer also leaves out long rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.kto_trainer import KTOTrainer
from trl.trainer.reward_trainer import RewardTrainer

from tunekit.errors import SpecError

_EQUAL = "frac_reward_zero_std"
"""TRL's share of the prompts whose answers all got the same reward."""


class PreparedKTO(KTOTrainer):  # type: ignore[misc]
    """KTOTrainer over answers that were tokenised, shuffled and matched with another's prompt."""

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset


class PreparedReward(RewardTrainer):  # type: ignore[misc]
    """RewardTrainer over pairs that were tokenised, all of them."""

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset


class PreparedGRPO(GRPOTrainer):  # type: ignore[misc]
    """GRPOTrainer over prompts that were tokenised; the other columns are for reward functions."""

    _asked: Sequence[list[int]] = ()
    state: Any

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train as TRL does.

        Raises:
            SpecError: in no step did rewards differ, so there was nothing to learn.
        """
        done = super().train(*args, **kwargs)
        equal = [step[_EQUAL] for step in self.state.log_history if _EQUAL in step]
        if equal and min(equal) == 1:
            raise SpecError(
                f"objective.rewards: in all {len(equal)} steps the answers to each prompt got "
                "equal rewards, so there was nothing to learn; take functions that give the base "
                "something now and then, easier prompts, or more objective.generations"
            )
        return done

    def _generate_and_score_completions(self, inputs: Sequence[dict[str, Any]]) -> Any:
        self._asked = [row["prompt_ids"] for row in inputs]
        return super()._generate_and_score_completions([json.loads(row["row"]) for row in inputs])

    def _tokenize_prompts(self, prompts: Sequence[Any]) -> tuple[Sequence[list[int]], None, Any]:
        return self._asked, None, {}
