"""An adapter changes nothing before it has learnt, and the same thing merged or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.anchors.built import learnt, logits, saved, trained, trainer
from tests.local.specs import small
from tunekit.adapters.adapter import Adapter

VARIANTS = [
    {"type": "lora", "rank": 4},
    {"type": "lora", "rank": 4, "use_dora": True},
    {"type": "lora", "rank": 4, "use_rslora": True},
    {"type": "lora", "rank": 4, "init": "orthogonal"},
]
NAMES = ["lora", "dora", "rslora", "orthogonal"]


def base_of(folder: Path, dtype: str = "float32") -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder / "model", dtype=getattr(torch, dtype))


@pytest.mark.parametrize("method", VARIANTS, ids=NAMES)
def test_an_adapter_that_has_not_learnt_leaves_the_model_as_it_is(
    tmp_path: Path, method: dict[str, Any]
) -> None:
    built = trainer(small(tmp_path, method=method), tmp_path / "job")
    wanted = logits(base_of(tmp_path))
    assert sum(weight.numel() for weight in learnt(built.model).values()) > 0
    difference = (logits(built.model) - wanted).abs().max()
    # LoRA adds an exact zero; DoRA divides each row by its own length, and
    # orthogonal rows cancel: both to rounding.
    exact = not method.get("use_dora") and "init" not in method
    assert difference <= (0 if exact else 1e-5)


@pytest.mark.parametrize("method", VARIANTS[:3], ids=NAMES[:3])
def test_switched_off_an_adapter_that_has_learnt_leaves_the_base(
    tmp_path: Path, method: dict[str, Any]
) -> None:
    built = trained(small(tmp_path, method=method, training={"max_steps": 3}), tmp_path / "job")
    wanted = logits(base_of(tmp_path))
    assert (logits(built.model) - wanted).abs().max() > 1e-3
    with built.model.disable_adapter():
        assert torch.equal(logits(built.model), wanted)


def off(found: Any, wanted: Any) -> float:
    """Give the largest difference of two logits over the largest logit."""
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.slow
@pytest.mark.parametrize("method", VARIANTS[:3], ids=NAMES[:3])
def test_merged_and_not_merged_answer_alike(tmp_path: Path, method: dict[str, Any]) -> None:
    spec = small(tmp_path, method=method, training={"max_steps": 5, "learning_rate": 5e-3})
    adapter = saved(trained(spec, tmp_path / "job"), tmp_path)
    apart = logits(adapter.load())

    merged = logits(Adapter.open(adapter.merge(tmp_path / "merged")).load())

    assert off(merged, apart) <= 1e-6
    # Else nothing was merged.
    assert off(logits(base_of(tmp_path)), apart) > 0.1


@pytest.mark.slow
def test_in_bfloat16_a_merged_model_is_no_further_from_the_truth_than_its_parts(
    tmp_path: Path,
) -> None:
    spec = small(tmp_path, training={"max_steps": 5, "learning_rate": 5e-3})
    adapter = saved(trained(spec, tmp_path / "job"), tmp_path)
    truth = logits(adapter.load(dtype="float32"))
    apart = logits(adapter.load(dtype="bfloat16"))

    folder = adapter.merge(tmp_path / "merged", dtype="bfloat16")

    merged = logits(Adapter.open(folder).load(dtype="bfloat16"))
    assert off(merged, truth) <= off(apart, truth) + 5e-3


def test_saved_and_loaded_again_an_adapter_is_the_same(tmp_path: Path) -> None:
    built = trained(small(tmp_path, training={"max_steps": 3}), tmp_path / "job")
    wanted = learnt(built.model)

    again = saved(built, tmp_path).load(trainable=True)

    found = learnt(again)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert torch.equal(logits(again), logits(built.model))
