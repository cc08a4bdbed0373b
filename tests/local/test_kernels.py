"""The plan says who computes losses and gradients, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import tunekit as tk
from tests.planning.setting import CPU, H100, LLAMA_8B, UNKNOWN, rows
from tunekit.backends.registry import resolve
from tunekit.errors import SpecError, UnsupportedError


def plan(
    *, model: Any = LLAMA_8B, kind: Any = "conversation", backend: Any = None, **spec: Any
) -> tk.Plan:
    chosen = backend or tk.Local(engine="peft", machine=CPU)
    asked = tk.FineTune(model="acme/model", data="rows.jsonl", **spec)
    return chosen.plan(asked, model, rows(200, kind=kind))


def kernels(found: tk.Plan) -> tuple[Any, str]:
    (change,) = [change for change in found.changes if change.field == "backend.kernels"]
    return change.used, change.reason


@pytest.mark.parametrize("method", ["lora", "rslora", "lora+", "pissa", "qlora"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_llama_with_a_low_rank_adapter_is_trained_by_our_passes(method: Any, device: str) -> None:
    backend = tk.Local(engine="peft", machine=replace(H100, device=device))
    found = plan(method=method, backend=backend)
    assert kernels(found)[0] == "fast"
    assert found.request["kernels"] == "auto"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"method": "full"}, "they train LoRA and QLoRA, not full"),
        ({"method": "vera"}, "they train LoRA and QLoRA, not vera"),
        ({"method": "dora"}, "DoRA scales the base's weights as well"),
        ({"model": LLAMA_8B.model_copy(update={"family": "phi3"})}, "layers of phi3 are not known"),
        ({"backend": tk.Local(engine="unsloth", machine=H100)}, "Unsloth brings its own"),
        (
            {"backend": tk.Local(machine=replace(H100, device="mps"))},
            "nobody has tried them on mps",
        ),
        (
            {"objective": {"type": "grpo", "rewards": ["exact_match"]}, "kind": "prompt"},
            "grpo is no objective of log-probabilities alone",
        ),
    ],
    ids=["full", "VeRA", "DoRA", "family", "unsloth", "mps", "GRPO"],
)
def test_what_they_do_not_know_the_reference_trains(changes: dict[str, Any], reason: str) -> None:
    found = plan(**changes)
    used, why = kernels(found)
    assert used == "reference"
    assert reason in why
    assert found.request["kernels"] == "reference"


def test_an_unknown_model_is_looked_at_when_it_is_loaded() -> None:
    found = plan(model=UNKNOWN)
    used, why = kernels(found)
    assert (used, found.request["kernels"]) == ("fast", "auto")
    assert "if the model turns out to be one of gemma," in why


def test_the_reference_can_be_asked_for() -> None:
    found = plan(backend=tk.Local(engine="peft", machine=CPU, kernels="reference"))
    assert kernels(found) == ("reference", "asked for")


def test_fast_is_an_order_that_the_plan_refuses_where_it_cannot_be() -> None:
    backend = tk.Local(engine="peft", machine=CPU, kernels="fast")
    assert plan(backend=backend).request["kernels"] == "fast"
    with pytest.raises(UnsupportedError, match=r"backend\.kernels"):
        plan(backend=backend, method="dora").require()


def test_another_word_is_refused() -> None:
    with pytest.raises(SpecError, match=r"backend\.kernels: unknown kernels 'quick'; known: auto"):
        tk.Local(kernels="quick")  # type: ignore[arg-type]


def test_the_backend_of_a_spec_can_say_it() -> None:
    found = resolve({"type": "local", "kernels": "reference"})
    assert found == tk.Local(kernels="reference")
