"""Spectra, adapters of lower rank, and weaker ones, against PEFT's own update."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.made import peft_model, saved
from tunekit.adapters.adapter import Adapter
from tunekit.errors import AdapterError

SETTINGS: list[dict[str, Any]] = [
    {},
    {"use_rslora": True},
    {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {"down_proj": 6}},
]


def updates(model: Any) -> dict[str, Any]:
    """What PEFT adds to each layer."""
    found = {
        name.removeprefix("base_model.model."): module.get_delta_weight("default").detach()
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
    }
    assert found
    return found


@pytest.mark.parametrize("settings", SETTINGS, ids=["lora", "rslora", "patterns"])
def test_the_singular_values_are_those_of_pefts_update(
    base: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    import torch

    model = peft_model(base, **settings)
    found = Adapter.open(saved(model, tmp_path / "adapter")).spectrum()
    wanted = updates(model)
    assert found.keys() == wanted.keys()
    for layer, values in found.items():
        own = torch.linalg.svdvals(wanted[layer])[: len(values)]
        assert values == pytest.approx(own.tolist(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("settings", SETTINGS, ids=["lora", "rslora", "patterns"])
@pytest.mark.parametrize("rank", [1, 3])
def test_a_lower_rank_is_off_by_no_more_than_is_said(
    base: Path, tmp_path: Path, settings: dict[str, Any], rank: int
) -> None:
    model = peft_model(base, **settings)
    adapter = Adapter.open(saved(model, tmp_path / "adapter"))
    cut = adapter.truncate(rank, tmp_path / "cut")
    wanted, found = updates(model), updates(cut.load(base=base))
    errors = [
        float((found[layer] - update).norm() / update.norm()) for layer, update in wanted.items()
    ]
    said = adapter.truncation_error(rank)
    assert max(errors) == pytest.approx(said, rel=1e-3)
    for layer, values in adapter.spectrum().items():
        lost = math.sqrt(sum(value**2 for value in values[rank:]))
        assert float((found[layer] - wanted[layer]).norm()) == pytest.approx(lost, abs=1e-5)
    assert cut.describe().rank == rank


def test_directions_that_are_not_used_cost_nothing(base: Path, tmp_path: Path) -> None:
    import torch

    model = peft_model(base, r=8)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_A" in name:
                weight[3:] = weight[:1]
    adapter = Adapter.open(saved(model, tmp_path / "adapter"))
    cut = adapter.truncate(3, tmp_path / "cut")
    assert adapter.truncation_error(3) < 1e-6
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        wanted, found = (side(ids).logits for side in (model, cut.load(base=base)))
    assert (wanted - found).abs().max() < 1e-4


def test_a_weaker_adapter_adds_so_much_less(base: Path, tmp_path: Path) -> None:
    model = peft_model(base)
    adapter = Adapter.open(saved(model, tmp_path / "adapter"))
    weaker = adapter.rescale(0.25, tmp_path / "weaker")
    wanted, found = updates(model), updates(weaker.load(base=base))
    for layer, update in wanted.items():
        assert (found[layer] - 0.25 * update).abs().max() < 1e-7


@pytest.mark.parametrize("rank", [0, 4, 9])
def test_a_rank_that_is_no_lower_is_refused(trained: Path, tmp_path: Path, rank: int) -> None:
    with pytest.raises(AdapterError, match="has rank 4"):
        Adapter.open(trained).truncate(rank, tmp_path / "cut")
    assert not (tmp_path / "cut").exists()


@pytest.mark.parametrize("scale", [0.0, 1.5, -1.0])
def test_a_scale_lies_between_base_and_adapter(trained: Path, tmp_path: Path, scale: float) -> None:
    with pytest.raises(AdapterError, match="above 0 and up to 1"):
        Adapter.open(trained).rescale(scale, tmp_path / "weaker")


def test_a_dora_is_no_product_of_two_matrices(base: Path, tmp_path: Path) -> None:
    adapter = Adapter.open(saved(peft_model(base, use_dora=True), tmp_path / "adapter"))
    with pytest.raises(AdapterError, match="is a DoRA"):
        adapter.truncate(2, tmp_path / "cut")
    with pytest.raises(AdapterError, match="is a DoRA"):
        adapter.rescale(0.5, tmp_path / "weaker")


def test_a_full_model_has_no_rank(base: Path) -> None:
    with pytest.raises(AdapterError, match="holds a full model; only a LoRA has a rank"):
        Adapter.open(base).spectrum()


def test_a_folder_that_is_taken_stays_as_it_is(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(AdapterError, match="is not an empty folder"):
        Adapter.open(trained).truncate(2, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
