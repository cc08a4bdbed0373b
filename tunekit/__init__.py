"""Fine-tune language models from one typed spec, on this machine or a managed service.

Names load on first use: importing `tunekit` imports no torch and opens no socket.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "tunekit.spec.finetune": ("FineTune", "Data"),
    "tunekit.spec.methods": (
        "Full",
        "LoRA",
        "QLoRA",
        "AdaLoRA",
        "IA3",
        "LoHa",
        "LoKr",
        "OFT",
        "BOFT",
        "VeRA",
        "Prefix",
        "Prompt",
        "PTuning",
        "LNTuning",
        "Bottleneck",
        "Peft",
    ),
    "tunekit.spec.objectives": (
        *("SFT", "DPO", "IPO", "KTO", "SimPO", "ORPO", "CPO"),
        *("Reward", "GRPO"),
    ),
    "tunekit.spec.training": ("Training", "Replay"),
    "tunekit.spec.evaluation": ("Evaluation", "Output"),
    "tunekit.spec.gate": ("Gate",),
    "tunekit.spec.judge": ("Judge",),
    "tunekit.spec.document": ("load",),
    "tunekit.running.start": ("plan", "run", "submit", "arun", "asubmit"),
    "tunekit.running.many": ("run_many",),
    "tunekit.running.run": ("Run", "get", "runs"),
    "tunekit.running.attach": ("attach",),
    "tunekit.running.endpoint": ("Endpoint",),
    "tunekit.events": ("JobState", "Event"),
    "tunekit.planning.plan": ("Plan", "Change"),
    "tunekit.planning.ledger": ("Ledger",),
    "tunekit.adapters.adapter": ("Adapter",),
    "tunekit.evaluation.compare": ("Comparison",),
    "tunekit.backends.backend": ("Backend", "Capabilities", "Files", "JobId", "Update"),
    "tunekit.backends.local.parent": ("Local",),
    "tunekit.backends.together.backend": ("Together",),
    "tunekit.backends.fireworks.backend": ("Fireworks",),
    "tunekit.errors": ("TunekitError",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BOFT",
    "CPO",
    "DPO",
    "GRPO",
    "IA3",
    "IPO",
    "KTO",
    "OFT",
    "ORPO",
    "SFT",
    "AdaLoRA",
    "Adapter",
    "Backend",
    "Bottleneck",
    "Capabilities",
    "Change",
    "Comparison",
    "Data",
    "Endpoint",
    "Evaluation",
    "Event",
    "Files",
    "FineTune",
    "Fireworks",
    "Full",
    "Gate",
    "JobId",
    "JobState",
    "Judge",
    "LNTuning",
    "Ledger",
    "LoHa",
    "LoKr",
    "LoRA",
    "Local",
    "Output",
    "PTuning",
    "Peft",
    "Plan",
    "Prefix",
    "Prompt",
    "QLoRA",
    "Replay",
    "Reward",
    "Run",
    "SimPO",
    "Together",
    "Training",
    "TunekitError",
    "Update",
    "VeRA",
    "arun",
    "asubmit",
    "attach",
    "get",
    "load",
    "plan",
    "run",
    "run_many",
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
    from tunekit.backends.fireworks.backend import Fireworks
    from tunekit.backends.local.parent import Local
    from tunekit.backends.together.backend import Together
    from tunekit.errors import TunekitError
    from tunekit.evaluation.compare import Comparison
    from tunekit.events import Event, JobState
    from tunekit.planning.ledger import Ledger
    from tunekit.planning.plan import Change, Plan
    from tunekit.running.attach import attach
    from tunekit.running.endpoint import Endpoint
    from tunekit.running.many import run_many
    from tunekit.running.run import Run, get, runs
    from tunekit.running.start import arun, asubmit, plan, run, submit
    from tunekit.spec.document import load
    from tunekit.spec.evaluation import Evaluation, Output
    from tunekit.spec.finetune import Data, FineTune
    from tunekit.spec.gate import Gate
    from tunekit.spec.judge import Judge
    from tunekit.spec.methods import (
        BOFT,
        IA3,
        OFT,
        AdaLoRA,
        Bottleneck,
        Full,
        LNTuning,
        LoHa,
        LoKr,
        LoRA,
        Peft,
        Prefix,
        Prompt,
        PTuning,
        QLoRA,
        VeRA,
    )
    from tunekit.spec.objectives import CPO, DPO, GRPO, IPO, KTO, ORPO, SFT, Reward, SimPO
    from tunekit.spec.training import Replay, Training
