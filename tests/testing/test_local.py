"""The local backend keeps the contract, with a real model and a real worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import tiny_model
from tunekit.backends.backend import Backend
from tunekit.backends.local.parent import Local
from tunekit.events import JobState
from tunekit.spec.finetune import FineTune
from tunekit.testing import BackendContract

ROWS = [{"prompt": f"{n} + 1 =", "completion": f" {n + 1}"} for n in range(20)]


@pytest.mark.slow
class TestLocal(BackendContract):
    states = {state.value: state for state in JobState} | {"AdapterError": JobState.FAILED}
    refuses = frozenset(
        {
            *("training.packing", "training.gradient_checkpointing", "training.early_stopping"),
            *("method.use_dora", "method.butterfly_factors"),
            *("objective.length_normalized", "evaluation.generations"),
            *("evaluation.json_schema", "evaluation.judge"),
        }
    )
    failure = "broken"

    def make(self) -> Backend:
        return Local()

    def spec(self) -> FineTune:
        return self._spec(steps=2)

    def failing(self) -> tuple[Backend, FineTune]:
        broken = tiny_model(Path(self._room.name) / "broken")
        (broken / "model.safetensors").write_bytes(b"cut short")
        return self.make(), self.spec().model_copy(update={"model": str(broken)})

    def endless(self) -> tuple[Backend, FineTune]:
        return self.make(), self._spec(steps=100_000)

    def _spec(self, *, steps: int) -> FineTune:
        folder = Path(self._room.name) / "model"
        if not folder.exists():
            tiny_model(folder)
        return FineTune(
            model=str(folder),
            data=ROWS,
            method={"type": "lora", "rank": 4},
            training={"max_steps": steps},
        )
