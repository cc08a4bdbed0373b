"""Fireworks keeps the contract, against a server that speaks as it does."""

from __future__ import annotations

import math

from tests.backends.on_loopback import OnLoopback
from tunekit.backends.backend import Backend
from tunekit.backends.fireworks.backend import Fireworks
from tunekit.backends.fireworks.states import STATES
from tunekit.spec.finetune import FineTune
from tunekit.testing.full import fields
from tunekit.testing.providers.fireworks import LoopbackFireworks

ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"{n} + 1 = ?"},
            {"role": "assistant", "content": f"{n + 1}"},
        ]
    }
    for n in range(40)
]


class TestFireworks(OnLoopback):
    loopback = LoopbackFireworks
    failed = "FAILED"
    creates = "POST /v1/accounts/acme/supervisedFineTuningJobs$"
    reads = "GET /v1/accounts/acme/supervisedFineTuningJobs/"
    states = STATES
    refuses = frozenset(
        {
            # All of them, since every field of a method that is not there is refused.
            *fields("method"),
            "training.early_stopping",
            *("objective.type", "objective.beta", "objective.gamma", "objective.train_on"),
            *("objective.length_normalized", "objective.sft_weight"),
            *("objective.loss", "objective.label_smoothing"),
            *("objective.desirable_weight", "objective.undesirable_weight"),
            *("objective.center_rewards_coefficient", "objective.rewards"),
            *("objective.reward_weights", "objective.generations"),
            *("objective.max_new_tokens", "objective.temperature"),
            *("training.max_steps", "training.packing", "training.max_grad_norm"),
            "training.seed",
        }
    )
    failure = "the trainer went away"

    def jobs(self) -> int:
        return sum("CANCEL" not in job.word for job in self.good.jobs)

    def make(self) -> Backend:
        return Fireworks(base_url=self.good.url, max_cost=math.inf)

    def spec(self) -> FineTune:
        return FineTune(model="meta-llama/Llama-3.2-1B-Instruct", data=ROWS)

    def failing(self) -> tuple[Backend, FineTune]:
        return Fireworks(base_url=self.bad.url, max_cost=math.inf), self.spec()
