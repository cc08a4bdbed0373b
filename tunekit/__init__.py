"""Fine-tune language models from one typed spec, on this machine or a managed service.

Names load on first use: importing `tunekit` imports no torch and opens no socket.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "tunekit.spec.finetune": ("FineTune", "Data"),
    "tunekit.spec.methods": ("Full", "LoRA", "QLoRA"),
    "tunekit.spec.objectives": ("SFT", "DPO"),
    "tunekit.spec.training": ("Training",),
    "tunekit.spec.evaluation": ("Evaluation", "Output"),
    "tunekit.spec.document": ("load",),
    "tunekit.running.run": (
        *("plan", "run", "submit", "get", "runs", "arun", "asubmit"),
        "Run",
    ),
    "tunekit.events": ("JobState", "Event"),
    "tunekit.planning.plan": ("Plan", "Change"),
    "tunekit.planning.ledger": ("Ledger",),
    "tunekit.adapters.adapter": ("Adapter",),
    "tunekit.evaluation.compare": ("Comparison",),
    "tunekit.backends.backend": ("Backend", "Capabilities", "Files", "JobId", "Update"),
    "tunekit.backends.local.parent": ("Local",),
    "tunekit.errors": ("TunekitError",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "DPO",
    "SFT",
    "Adapter",
    "Backend",
    "Capabilities",
    "Change",
    "Comparison",
    "Data",
    "Evaluation",
    "Event",
    "Files",
    "FineTune",
    "Full",
    "JobId",
    "JobState",
    "Ledger",
    "LoRA",
    "Local",
    "Output",
    "Plan",
    "QLoRA",
    "Run",
    "Training",
    "TunekitError",
    "Update",
    "arun",
    "asubmit",
    "get",
    "load",
    "plan",
    "run",
    "runs",
    "submit",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tunekit' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if TYPE_CHECKING:
    from tunekit.adapters.adapter import Adapter
    from tunekit.backends.backend import Backend, Capabilities, Files, JobId, Update
    from tunekit.backends.local.parent import Local
    from tunekit.errors import TunekitError
    from tunekit.evaluation.compare import Comparison
    from tunekit.events import Event, JobState
    from tunekit.planning.ledger import Ledger
    from tunekit.planning.plan import Change, Plan
    from tunekit.running.run import Run, arun, asubmit, get, plan, run, runs, submit
    from tunekit.spec.document import load
    from tunekit.spec.evaluation import Evaluation, Output
    from tunekit.spec.finetune import Data, FineTune
    from tunekit.spec.methods import Full, LoRA, QLoRA
    from tunekit.spec.objectives import DPO, SFT
    from tunekit.spec.training import Training
