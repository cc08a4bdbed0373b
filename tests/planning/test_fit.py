"""Whether a run fits its device, what to change where it does not, and how a plan says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.setting import CPU, H100, LLAMA_8B, SMOL, UNKNOWN, rows
from tunekit.backends.local.parent import Local
from tunekit.models import Model
from tunekit.planning.activations import Step
from tunekit.planning.comparison import compare
from tunekit.planning.fit import largest_rows, need, on_device, remedies
from tunekit.planning.machine import Machine
from tunekit.planning.plan import Plan
from tunekit.planning.shape import Shape, shape
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import Full, LoRA, QLoRA

GB = 10**9
CARD = Machine("cuda", 1, 8, 24 * GB, True, "1 CUDA device: NVIDIA L4")


def known(model: Model) -> Shape:
    size = shape(model)
    assert size is not None
    return size


def planned(model: Model, machine: Machine, data: Any = None, **settings: Any) -> Plan:
    spec = FineTune(model="acme/model", data="rows.jsonl", **settings)
    return Local(machine=machine, engine="peft").plan(spec, model, data or rows())


def numbers(plan: Plan) -> dict[str, float]:
    return {estimate.name: estimate.value for estimate in plan.estimates}


def test_a_plan_tells_memory_and_time_with_their_reasons() -> None:
    plan = planned(SMOL, CPU)
    memory, time, _ = plan.estimates
    assert (memory.name, memory.unit, time.name, time.unit) == ("memory", "GB", "time", "min")
    assert "weights 0.54" in memory.reason
    assert "fits into 25.8 GB" in memory.reason
    assert "GFLOPs at 50% of 200 GFLOP/s (2 threads, float32)" in time.reason
    assert not plan.warnings


def test_answers_that_the_base_will_write_are_planned_with() -> None:
    training = {"epochs": 1, "batch_size": 8, "replay": {"source": "self", "ratio": 0.5}}
    plain, more = (
        planned(SMOL, CPU, training={**training, "replay": None}),
        planned(SMOL, CPU, training=training),
    )
    change = next(c for c in more.changes if c.field == "training.replay")
    assert (change.used, "among 1000 rows" in change.reason) == ("500 rows", True)
    assert more.used("training.checkpoint_steps") == 38  # a fifth of 188
    assert plain.used("training.checkpoint_steps") == 25
    assert numbers(more)["time"] > numbers(plain)["time"]
    assert more.summary == plain.summary


def test_equal_specs_give_equal_plans_and_they_are_json() -> None:
    plan = planned(LLAMA_8B, CARD, method="full")
    assert plan == planned(LLAMA_8B, CARD, method="full")
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_a_run_that_does_not_fit_is_told_what_helps_most() -> None:
    plan = planned(LLAMA_8B, CARD, method="full")
    (warning,) = plan.warnings
    assert "the cuda has 24.0 GB" in warning
    assert "what helps most: method=qlora (" in warning
    assert "method=lora (" in warning
    assert "enough alone" not in warning


def test_a_run_that_nothing_makes_fit_is_told_so() -> None:
    tiny = replace(CARD, memory_bytes=2 * GB)
    (warning,) = planned(LLAMA_8B, tiny).warnings
    assert "none of these is enough alone" in warning


def test_what_helps_is_taken_as_it_is_written() -> None:
    # Each remedy is an assignment of `--set`, and with it the plan needs less.
    data = rows(longest=3000)
    settings: dict[str, Any] = {"training": {"gradient_checkpointing": False, "batch_size": 16}}
    before = planned(LLAMA_8B, CARD, data, **settings)
    assert "training.gradient_checkpointing=true" in before.warnings[0]
    after = planned(LLAMA_8B, CARD, data, training={"gradient_checkpointing": True})
    assert numbers(after)["memory"] < numbers(before)["memory"]


def test_longer_runs_take_longer() -> None:
    one, three = (
        numbers(planned(SMOL, CPU, training={"epochs": epochs}))["time"] for epochs in (1, 3)
    )
    assert three / one == pytest.approx(3, rel=0.1)


def test_max_steps_decides_the_time() -> None:
    few = numbers(planned(SMOL, CPU, training={"max_steps": 10, "batch_size": 4}))["time"]
    many = numbers(planned(SMOL, CPU, training={"max_steps": 20, "batch_size": 4}))["time"]
    assert many / few == pytest.approx(2, rel=0.1)


def test_a_reference_takes_time() -> None:
    data = rows(kind="preference")
    simpo, dpo = (
        numbers(planned(SMOL, CPU, data, objective=name, training={"batch_size": 8}))["time"]
        for name in ("simpo", "dpo")
    )
    assert dpo / simpo == pytest.approx(1.5, rel=0.1)


def test_native_settings_count_too() -> None:
    extra = {"local": {"trainer": {"gradient_checkpointing": True}}}
    plain, native = (numbers(planned(SMOL, CPU, extra=more))["memory"] for more in ({}, extra))
    assert native < plain


def test_of_an_unknown_model_nothing_is_estimated() -> None:
    plan = planned(UNKNOWN, H100)
    assert not {"memory", "time"} & numbers(plan).keys()
    assert plan.warnings == ()


def test_without_the_memory_of_the_device_nothing_is_judged() -> None:
    plan = planned(SMOL, replace(CARD, memory_bytes=0))
    assert "memory of the device is unknown" in plan.estimates[0].reason
    assert plan.warnings == ()


@pytest.mark.parametrize("method", [Full(), LoRA(), QLoRA(), QLoRA(quantization="int8")])
def test_the_largest_batch_fits_and_one_more_does_not(method: Any) -> None:
    size = known(SMOL)
    row = Step(method, "bfloat16", 1024)
    most = largest_rows(size, row, device="cuda", memory=24 * GB)
    assert most > 1

    def needed(count: int) -> float:
        many = replace(row, tokens=1024 * count, rows=count, joined=True)
        return need(on_device(size, many, "cuda"))

    assert needed(most) <= 24 * GB < needed(most + 1)


def test_no_batch_fits_a_device_that_is_too_small() -> None:
    step = Step(Full(), "bfloat16", 1024)
    assert largest_rows(known(LLAMA_8B), step, device="cuda", memory=24 * GB) == 0


def test_at_most_three_remedies_are_given_the_best_first() -> None:
    step = Step(Full(), "float32", 8192, rows=4)
    found = remedies(known(LLAMA_8B), step, device="cuda")
    assert len(found) == 3
    assert [remedy.need for remedy in found] == sorted(remedy.need for remedy in found)


def test_methods_are_compared_in_the_order_of_their_weights() -> None:
    found = list(compare(known(LLAMA_8B), CARD, length=2048, batch=1, rank=16))
    with_it = [choice for choice in found if choice.checkpointing]
    assert [choice.method for choice in with_it] == ["full", "lora", "qlora nf4", "qlora int8"]
    full, lora, nf4, int8 = (choice.memory.total for choice in with_it)
    assert full > lora > int8 > nf4
    # As published: QLoRA and LoRA of 8B fit a card of 24 GB, and training all of it does not.
    assert [choice.fits for choice in with_it] == [False, True, True, True]
