"""What would train the wrong thing is refused before it starts, with a reason and a way out."""

from __future__ import annotations

from typing import Any

import pytest

import tunekit as tk
from tests.planning.setting import CPU, H100, SMOL, rows
from tunekit.planning.machine import Machine

KINDS = {"kto": "judged", "grpo": "prompt", "sft": "conversation"}


def planned(
    method: Any,
    objective: Any = "sft",
    *,
    machine: Machine = CPU,
    engine: Any = "peft",
    **more: Any,
) -> tk.Plan:
    spec = tk.FineTune(
        model="acme/model", data="rows.jsonl", method=method, objective=objective, **more
    )
    kind: Any = KINDS.get(spec.objective.type, "preference")
    return tk.Local(engine=engine, machine=machine).plan(spec, SMOL, rows(kind=kind))


def refused(plan: tk.Plan) -> dict[str, str]:
    return {change.field: change.reason for change in plan.unsupported}


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("lora", "SFT with LoRA on"),
        ("dora", "SFT with LoRA (use_dora) on"),
        ("lora+", "SFT with LoRA (lr_ratio 16.0) on"),
        ("pissa", "SFT with LoRA (init pissa) on"),
        ({"type": "full", "last_layers": 2}, "SFT with Full (last_layers 2) on"),
    ],
)
def test_the_plan_says_what_a_word_means(word: Any, told: str) -> None:
    assert planned(word).summary.startswith(told)


GRPO = {"type": "grpo", "rewards": "json_valid"}


@pytest.mark.parametrize("objective", ["dpo", "ipo", "kto", {**GRPO, "beta": 0.04}])
@pytest.mark.parametrize("method", ["pissa", "olora", "loftq"])
def test_an_init_that_rewrites_the_base_has_no_reference(method: str, objective: Any) -> None:
    reason = refused(planned(method, objective))["method.init"]
    assert "the model with its adapter off" in reason
    assert "take init: eva" in reason


@pytest.mark.parametrize("objective", ["sft", "simpo", "orpo", "cpo", "reward", GRPO])
def test_an_init_that_rewrites_the_base_is_fine_without_a_reference(objective: Any) -> None:
    plan = planned({"type": "pissa", "rank": 6}, objective)
    assert not refused(plan)
    told = [change.used for change in plan.changes if change.field == "method.init"]
    assert told == ["saved as a LoRA of rank 12"]


CASES: list[tuple[str, Any, dict[str, Any], str, str]] = [
    ("loftq over whole weights", {"type": "lora", "init": "loftq"}, {}, "method.init", "qlora"),
    (
        "loftq over int8",
        {"type": "qlora", "quantization": "int8", "init": "loftq"},
        {},
        "method.init",
        "take quantization: nf4",
    ),
    (
        "pissa with dora",
        {"type": "lora", "init": "pissa", "use_dora": True},
        {},
        "method.init",
        "leave out use_dora",
    ),
    ("qdora on a CPU", "qdora", {}, "method.use_dora", "repacks 4-bit weights"),
    (
        "an adapter on the head",
        {"type": "lora", "target_modules": ["q_proj", "lm_head"]},
        {},
        "method.target_modules",
        "would not learn",
    ),
    (
        "more blocks than there are",
        {"type": "full", "last_layers": 31},
        {},
        "method.last_layers",
        "has 30 blocks",
    ),
    ("blocks that do not divide", {"type": "oft", "block_size": 40}, {}, "method.block_size", "32"),
    (
        "rotations without a kernel",
        {"type": "boft", "butterfly_factors": 2},
        {},
        "method.butterfly_factors",
        "CUDA",
    ),
    (
        "nothing to cut",
        {"type": "adalora", "rank": 8, "initial_rank": 8},
        {},
        "method.initial_rank",
        "more than rank",
    ),
    (
        "packed virtual tokens",
        "prompt",
        {"training": {"packing": True}},
        "training.packing",
        "before a whole sequence",
    ),
    (
        "a prefix that is computed again",
        "prefix",
        {"training": {"gradient_checkpointing": True}},
        "training.gradient_checkpointing",
        "a cache",
    ),
    (
        "a quantised base under a method that cannot hold it",
        "loha",
        {"extra": {"local": {"model": {"quantization": {"load_in_4bit": True}}}}},
        "extra",
        "no LOHA over a quantised base",
    ),
    (
        "a type that nobody checks",
        {"type": "peft", "config": {"peft_type": "XLORA"}},
        {},
        "method.config",
        "takes no adapter unchecked",
    ),
    (
        "a type with a class of its own",
        {"type": "peft", "config": {"peft_type": "ADALORA", "r": 8}},
        {},
        "method.config",
        "method: {type: adalora}",
    ),
    (
        "a key that is none",
        {"type": "peft", "config": {"peft_type": "MISS", "rr": 8}},
        {},
        "method.config",
        "did you mean 'r'",
    ),
    (
        "a value that would be refused later",
        {"type": "peft", "config": {"peft_type": "LORA", "r": 8, "bias": "all"}},
        {},
        "method.config",
        "bias",
    ),
]


@pytest.mark.parametrize(
    ("method", "more", "field", "reason"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_a_trap_is_refused_with_a_reason(
    method: Any, more: dict[str, Any], field: str, reason: str
) -> None:
    found = refused(planned(method, **more))
    assert list(found) == [field]
    assert reason in found[field]


def test_a_cuda_device_takes_qdora_and_more_rotations() -> None:
    assert not refused(planned("qdora", machine=H100))
    assert not refused(planned({"type": "boft", "butterfly_factors": 2}, machine=H100))


def test_checkpointing_that_nobody_asked_for_is_left_out_for_a_prefix() -> None:
    small = Machine("cpu", 1, 2, 2**28, False, "a machine of a quarter of a gigabyte")
    assert planned("lora", machine=small).request["trainer"]["gradient_checkpointing"] is True
    plan = planned("prefix", machine=small)
    assert plan.request["trainer"]["gradient_checkpointing"] is False
    assert not refused(plan)


@pytest.mark.parametrize("method", ["prefix", "prompt", "ptuning"])
def test_virtual_tokens_go_without_joined_rows_and_say_that_they_are_no_identity(
    method: str,
) -> None:
    plan = planned(method)
    assert plan.request["trainer"]["padding_free"] is False
    assert not plan.warnings or "identity" not in plan.warnings[-1]
    assert any("no identity at the start" in said for said in planned(method, "dpo").warnings)


@pytest.mark.parametrize(
    ("method", "field"),
    [
        ("ia3", "method.type"),
        ("prefix", "method.type"),
        ("dora", "method.use_dora"),
        ("pissa", "method.init"),
        ("lora+", "method.lr_ratio"),
        ({"type": "full", "last_layers": 1}, "method.last_layers"),
    ],
)
def test_unsloth_takes_plain_lora_and_full_only(method: Any, field: str) -> None:
    found = refused(planned(method, machine=H100, engine="unsloth"))
    assert list(found) == [field]
    assert "engine: peft" in found[field]
