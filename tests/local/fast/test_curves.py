"""Training with our passes goes where training with the reference goes, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.local.specs import WORDS, chats, small
from tunekit.backends.local.fast.network import Network
from tunekit.backends.local.fast.stream import Stream

pytestmark = pytest.mark.slow

PAIRS = [
    {
        "prompt": f"{number} {word} {' '.join(WORDS)}",
        "chosen": f" {word} {WORDS[number % 5]}",
        "rejected": f" {WORDS[number % 7]} {number} {word} {word}",
    }
    for number, word in enumerate(WORDS * 2)
]
JUDGED = [
    {"prompt": pair["prompt"], "completion": pair[side], "label": side == "chosen"}
    for pair in PAIRS
    for side in ("chosen", "rejected")
]
STEPS = 50


def run(folder: Path, kernels: Any, **changes: Any) -> tuple[list[dict[str, float]], list[str]]:
    """Train in this process; give the figures of each step, and the log."""
    training = {"max_steps": STEPS, "learning_rate": 3e-3, **changes.pop("training", {})}
    spec = small(folder, training=training, **changes)
    done = tk.run(spec, tk.Local(in_process=True, kernels=kernels), progress=False)
    events = list(done.events(follow=False))
    figures = [e.metrics for e in events if e.kind == "metrics" and "loss" in e.metrics]
    return figures, [event.message for event in events if event.kind == "log"]


def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note every pass of ours, which goes on as it would."""
    passes: list[int] = []
    before = Network.log_probs

    def noted(self: Network, stream: Stream, **options: Any) -> Any:
        passes.append(stream.length)
        return before(self, stream, **options)

    monkeypatch.setattr(Network, "log_probs", noted)
    return passes


CASES: dict[str, dict[str, Any]] = {
    "SFT": {},
    "SFT in portions": {"data": chats(40, longest=40), "training": {"batch_size": 20}},
    "SFT of packed rows": {"training": {"packing": True, "max_length": 256, "batch_size": 2}},
    "SFT with recomputation": {"training": {"gradient_checkpointing": True}},
    "QLoRA": {"method": {"type": "qlora", "rank": 4}},
    "DPO": {"data": PAIRS, "objective": "dpo"},
    "DPO with imitation": {
        "data": PAIRS,
        "objective": {"type": "dpo", "length_normalized": True, "sft_weight": 0.5},
    },
    "IPO": {"data": PAIRS, "objective": "ipo"},
    "SimPO": {"data": PAIRS, "objective": "simpo"},
    "ORPO": {"data": PAIRS, "objective": "orpo"},
    "CPO": {"data": PAIRS, "objective": "cpo"},
    "KTO": {"data": JUDGED, "objective": "kto", "training": {"batch_size": 8}},
}


TOLERANCES = {"QLoRA": 2e-3}
"""TRL keeps the adapters of a quantised base in bfloat16, and PEFT computes them in it as well."""
FEW = ("SFT", "SFT in portions", "DPO", "KTO")
"""What `make test` has of them."""


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=() if name in FEW else pytest.mark.long) for name in CASES]
)
def test_fifty_steps_have_the_losses_of_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    changes, passes = CASES[case], count_passes(monkeypatch)
    expected, _ = run(tmp_path, "reference", **changes)
    assert not passes
    found, log = run(tmp_path, "auto", **changes)

    assert "kernels: fast" in log
    assert len(passes) >= STEPS
    assert len(found) == len(expected) == STEPS
    losses = [figures["loss"] for figures in expected]
    tolerance = TOLERANCES.get(case, 1e-4)
    assert [figures["loss"] for figures in found] == pytest.approx(losses, abs=tolerance)
    assert max(losses) - min(losses) > 0.05  # a flat line would prove nothing
    # What TRL logs beside the loss is there, and is the same.
    times = {"tokens_per_second", "memory_bytes"}
    assert found[0].keys() - times == expected[0].keys() - times
    for name in found[0].keys() - times - {"mean_token_accuracy", "rewards/accuracies"}:
        near = pytest.approx(expected[0][name], rel=tolerance, abs=tolerance)
        assert found[0][name] == near, name
