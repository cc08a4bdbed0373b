"""The example of a backend of one's own keeps the contract."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from tunekit.backends.backend import Backend
from tunekit.spec.finetune import FineTune
from tunekit.spec.training import Training
from tunekit.testing import BackendContract
from tunekit.testing.full import fields

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> Any:
    """Import an example by its own name, as the process that takes a run over does."""
    if name not in sys.modules:
        spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


example = load("own_backend")


class TestWorkshop(BackendContract):
    registered = False
    states = example.STATES
    failure = "the power is out"
    refuses = frozenset(
        {
            *fields("method"),
            *(f"training.{name}" for name in Training.model_fields),
            *(fields("objective") - {"objective.type"}),
        }
    )

    def make(self) -> Backend:
        backend: Backend = example.Workshop()
        return backend

    def spec(self) -> FineTune:
        rows = [{"prompt": f"{n} + 1 =", "completion": str(n + 1)} for n in range(20)]
        return FineTune(model="org/a-model", data=rows)

    def failing(self) -> tuple[Backend, FineTune]:
        return example.Workshop(power=False), self.spec()

    @classmethod
    def setup_class(cls) -> None:
        super().setup_class()
        sys.path.append(str(EXAMPLES))

    @classmethod
    def teardown_class(cls) -> None:
        sys.path.remove(str(EXAMPLES))
        super().teardown_class()
