"""Together keeps the contract, against a server that speaks as it does."""

from __future__ import annotations

import math
from typing import ClassVar

from tests.backends.together.specs import questions
from tunekit.backends.backend import Backend
from tunekit.backends.together.backend import Together
from tunekit.events import JobState
from tunekit.spec.finetune import FineTune
from tunekit.testing.managed import ManagedContract
from tunekit.testing.providers.together import LoopbackTogether


class TestTogether(ManagedContract):
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
            *("method.type", "method.quantization", "method.double_quantization"),
            *("objective.type", "objective.beta", "training.max_steps"),
        }
    )
    failure = "a node of the cluster was lost"

    good: ClassVar[LoopbackTogether]
    bad: ClassVar[LoopbackTogether]

    @classmethod
    def setup_class(cls) -> None:
        super().setup_class()
        cls.good, cls.bad = LoopbackTogether(), LoopbackTogether(outcome="error")
        cls.good.start()
        cls.bad.start()

    @classmethod
    def teardown_class(cls) -> None:
        cls.good.stop()
        cls.bad.stop()
        super().teardown_class()

    def server(self) -> LoopbackTogether:
        return self.good

    def jobs(self) -> int:
        return sum("cancel" not in job.state for job in self.good.jobs)

    def make(self) -> Backend:
        return Together(base_url=self.good.url, max_cost=math.inf)

    def spec(self) -> FineTune:
        return FineTune(model="Qwen/Qwen3-8B", data=questions())

    def failing(self) -> tuple[Backend, FineTune]:
        return Together(base_url=self.bad.url, max_cost=math.inf), self.spec()
