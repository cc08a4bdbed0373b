"""Adapters that a server of many would refuse are refused before they are trained."""

from __future__ import annotations

from typing import Any

import pytest

from tests.planning.setting import H100, LLAMA_1B, LLAMA_8B, rows
from tunekit.backends.fireworks.backend import Fireworks
from tunekit.backends.local.parent import Local
from tunekit.backends.together.backend import Together
from tunekit.planning.defaults import resolve
from tunekit.planning.plan import Plan
from tunekit.planning.serving import refusal
from tunekit.spec.finetune import FineTune

MANY = rows(100_000, trained=10**10)
LOCAL = Local(machine=H100, engine="peft")


def served(method: Any, **fields: Any) -> FineTune:
    output = {"serve": "multi-lora", **fields.pop("output", {})}
    return FineTune(model="acme/model", data="rows.jsonl", method=method, output=output, **fields)


def reason(spec: FineTune) -> str:
    picks = resolve(spec, LLAMA_8B, rows(), H100)

    def value(field: str) -> Any:
        if field in picks:
            return picks[field].used
        group, _, name = field.partition(".")
        return getattr(getattr(spec, group), name)

    found = refusal(spec, value)
    return "" if found is None else found.reason


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ({"type": "lora", "rank": 16}, ""),
        ({"type": "qlora", "rank": 8}, ""),
        ({"type": "lora", "rank": 16, "use_rslora": True}, ""),
        # vllm/config/lora.py: max_lora_rank is 16 unless said, and one of nine values.
        ({"type": "lora", "rank": 17}, "start vLLM with --max-lora-rank 32"),
        ({"type": "lora", "rank": 64}, "output.max_lora_rank=64), or method.rank=16"),
        # PEFT saves a LoRA of twice the rank where the base was rewritten.
        ({"type": "lora", "rank": 16, "init": "pissa"}, "saved with rank 32"),
        ({"type": "lora", "rank": 8, "init": "pissa"}, ""),
        # vllm/lora/peft_helper.py
        ({"type": "lora", "rank": 8, "use_dora": True}, "DoRA is refused (vllm/lora/peft_helper"),
        ("full", "what full leaves is a model of its own, and served alone"),
        ("ia3", "what ia3 leaves is served alone, or merged into its base"),
        ("prefix", "what prefix leaves cannot be merged into its base either"),
        ("bottleneck", "what bottleneck leaves cannot be merged into its base either"),
    ],
)
def test_what_vllm_refuses_is_refused_with_the_place_that_says_so(method: Any, words: str) -> None:
    found = reason(served(method))
    assert words in found
    assert bool(found) is bool(words)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"bias": "lora_only"}, "bias=none"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"use_dora": True}, "use_dora"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"r": 64}, "--max-lora-rank 64"),
        ({"rank_pattern": {"q_proj": 128}}, "--max-lora-rank 128"),
        ({"r": 16}, ""),
    ],
)
def test_a_config_of_peft_is_judged_too(setting: dict[str, Any], words: str) -> None:
    method = {"type": "peft", "config": {"peft_type": "LORA", "target_modules": "all-linear"}}
    found = reason(served({**method, "config": {**method["config"], **setting}}))
    assert words in found
    assert bool(found) is bool(words)


def test_every_fault_is_told_at_once() -> None:
    found = reason(served({"type": "lora", "rank": 64, "use_dora": True}))
    assert "DoRA" in found and "--max-lora-rank" in found


def test_a_server_that_was_told_takes_more() -> None:
    assert not reason(served({"type": "lora", "rank": 64}, output={"max_lora_rank": 64}))


def test_nothing_is_refused_where_nothing_is_said_of_a_server() -> None:
    spec = FineTune(model="acme/model", data="rows.jsonl", method={"type": "lora", "rank": 512})
    assert not reason(spec)


@pytest.mark.parametrize(
    ("most", "init", "rank"), [(16, "default", 16), (64, "default", 64), (16, "pissa", 8)]
)
def test_an_automatic_rank_keeps_to_what_is_served(most: int, init: str, rank: int) -> None:
    spec = served({"type": "lora", "init": init}, output={"max_lora_rank": most})
    change = resolve(spec, LLAMA_1B, MANY, H100)["method.rank"]
    assert change.used == rank
    assert "is what the server takes" in change.reason


@pytest.mark.parametrize("backend", [LOCAL, Together(), Fireworks(account_id="acme")])
def test_the_plans_of_all_backends_refuse_it(backend: Any) -> None:
    plan: Plan = backend.plan(served({"type": "lora", "rank": 32}), LLAMA_8B, rows())
    assert "output.serve" in {change.field for change in plan.unsupported}
    fine: Plan = backend.plan(served({"type": "lora", "rank": 16}), LLAMA_8B, rows())
    assert "output.serve" not in {change.field for change in fine.unsupported}


def test_native_settings_are_judged_too() -> None:
    extra = {"local": {"peft": {"modules_to_save": ["embed_tokens"]}}}
    plan = LOCAL.plan(served({"type": "lora", "rank": 8}, extra=extra), LLAMA_8B, rows())
    assert (
        "whole layers are refused" in {c.field: c.reason for c in plan.unsupported}["output.serve"]
    )
