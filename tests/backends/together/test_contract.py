"""Together keeps the contract, against a server that speaks as it does."""

from __future__ import annotations

import math
from typing import ClassVar

from tests.backends.on_loopback import OnLoopback
from tests.backends.together.specs import questions
from tunekit.backends.backend import Backend
from tunekit.backends.together.backend import Together
from tunekit.events import JobState
from tunekit.spec.finetune import FineTune
from tunekit.testing.full import fields
from tunekit.testing.providers.together import LoopbackTogether


class TestTogether(OnLoopback):
    loopback = LoopbackTogether
    failed = "error"
    creates = "POST /v1/fine-tunes$"
    reads = "GET /v1/fine-tunes/"
    # The words of the SDK's `FinetuneJobStatus`.
    states: ClassVar = {
        "pending": JobState.QUEUED,
        "queued": JobState.QUEUED,
        "running": JobState.RUNNING,
        "compressing": JobState.RUNNING,
        "uploading": JobState.RUNNING,
        "cancel_requested": JobState.RUNNING,
        "cancelled": JobState.CANCELLED,
        "error": JobState.FAILED,
        "user_error": JobState.FAILED,
        "completed": JobState.SUCCEEDED,
    }
    refuses = frozenset(
        {
            # All of them, since every field of a method that is not there is refused.
            *fields("method"),
            "training.early_stopping",
            *("objective.type", "objective.beta", "training.max_steps"),
            *("objective.loss", "objective.label_smoothing", "objective.sft_weight"),
            *("objective.desirable_weight", "objective.undesirable_weight"),
            *("objective.center_rewards_coefficient", "objective.rewards"),
            *("objective.reward_weights", "objective.generations"),
            *("objective.max_new_tokens", "objective.temperature"),
        }
    )
    failure = "a node of the cluster was lost"

    def jobs(self) -> int:
        return sum("cancel" not in job.state for job in self.good.jobs)

    def make(self) -> Backend:
        return Together(base_url=self.good.url, max_cost=math.inf)

    def spec(self) -> FineTune:
        return FineTune(model="Qwen/Qwen3-8B", data=questions())

    def failing(self) -> tuple[Backend, FineTune]:
        return Together(base_url=self.bad.url, max_cost=math.inf), self.spec()
