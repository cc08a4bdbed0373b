"""Fireworks keeps the contract, against a server that speaks as it does."""

from __future__ import annotations

import math
from typing import ClassVar

from tunekit.backends.backend import Backend
from tunekit.backends.fireworks.backend import Fireworks
from tunekit.backends.fireworks.states import STATES
from tunekit.spec.finetune import FineTune
from tunekit.testing.managed import ManagedContract
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


class TestFireworks(ManagedContract):
    creates = "POST /v1/accounts/acme/supervisedFineTuningJobs$"
    reads = "GET /v1/accounts/acme/supervisedFineTuningJobs/"
    states = STATES
    refuses = frozenset(
        {
            *("method.type", "method.alpha", "method.dropout", "method.target_modules"),
            *("method.quantization", "method.double_quantization"),
            *("objective.type", "objective.beta", "objective.gamma", "objective.train_on"),
            *("objective.length_normalized", "objective.sft_weight"),
            *("training.max_steps", "training.packing", "training.max_grad_norm"),
            "training.seed",
        }
    )
    failure = "the trainer went away"

    good: ClassVar[LoopbackFireworks]
    bad: ClassVar[LoopbackFireworks]

    @classmethod
    def setup_class(cls) -> None:
        super().setup_class()
        cls.good, cls.bad = LoopbackFireworks(), LoopbackFireworks(outcome="FAILED")
        cls.good.start()
        cls.bad.start()

    @classmethod
    def teardown_class(cls) -> None:
        cls.good.stop()
        cls.bad.stop()
        super().teardown_class()

    def server(self) -> LoopbackFireworks:
        return self.good

    def jobs(self) -> int:
        return sum("CANCEL" not in job.word for job in self.good.jobs)

    def make(self) -> Backend:
        return Fireworks(base_url=self.good.url, max_cost=math.inf)

    def spec(self) -> FineTune:
        return FineTune(model="meta-llama/Llama-3.2-1B-Instruct", data=ROWS)

    def failing(self) -> tuple[Backend, FineTune]:
        return Fireworks(base_url=self.bad.url, max_cost=math.inf), self.spec()
