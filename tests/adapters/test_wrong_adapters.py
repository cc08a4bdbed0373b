"""An adapter is the one that was asked for, on its base, or the fault is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.adapters.made import FIRST, change_config
from tests.adapters.wrong import (
    ABSENT,
    ASKED,
    BASE,
    DOWN,
    SECOND,
    Damage,
    config,
    copy,
    cut,
    drop,
    fill,
    full,
    header,
    junk,
    many,
    on_another,
    put,
    put_one,
    rename,
    trained_on,
    twice,
    weights,
    widen,
)
from tunekit.adapters import gate
from tunekit.adapters.adapter import Adapter
from tunekit.adapters.asked import Asked
from tunekit.adapters.gate import CONFIG
from tunekit.errors import AdapterError


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, base: Path, monkeypatch: Any) -> Path:
    """A hub cache that holds the base as `org/model`."""
    place = tmp_path_factory.mktemp("hub")
    monkeypatch.setenv("HF_HUB_CACHE", str(place))
    put(place, BASE, base)
    return place


@pytest.fixture
def folder(folder: Path) -> Path:
    change_config(folder, base_model_name_or_path=BASE)
    return folder


ENDS = r"adapter_model\.safetensors: "
WRONG: dict[str, tuple[Damage, str]] = {
    # D12: keys
    "a layer gone": (drop(SECOND), rf"{ENDS}missing: model\.layers\.1\.self_attn\.q_proj$"),
    "an A gone": (weights(lambda t: t.pop(f"{DOWN}.lora_A.weight")), "down_proj: A is missing"),
    "all layers of one kind gone": (
        lambda f: [drop(m)(f) for m in (FIRST, SECOND)],
        r"missing: model\.layers\.0\.self_attn\.q_proj, model\.layers\.1\.self_attn",
    ),
    "another layer": (copy(SECOND, SECOND.replace("q_", "k_")), r"not asked for: .*\.1\..*k_proj"),
    "a layer of no model": (copy(SECOND, SECOND.replace("q_", "x_")), "not asked for: .*x_proj"),
    "an output layer": (copy(SECOND, "base_model.model.lm_head"), "not asked for: lm_head"),
    "names without PEFT's prefix": (rename("base_model.model.", ""), "no part of a LoRA adapter"),
    "names of another adapter": (rename("lora_A.", "lora_A.other."), "no part of a LoRA adapter"),
    "a layer renamed": (rename("down_proj", "w2"), r"missing: .*down_proj"),
    "a block renamed": (rename("layers.1.", "layers.7."), r"missing: model\.layers\.1\."),
    "halves exchanged": (rename("lora_A", "lora_C"), "no part of a LoRA adapter"),
    # D13: weights of the base
    "weights of the base": (
        weights(
            lambda t: t.update(
                {"base_model.model.lm_head.weight": t[f"{FIRST}.lora_A.weight"].clone()}
            )
        ),
        "lm_head.weight is no part of a LoRA adapter",
    ),
    "weights of a layer": (
        weights(
            lambda t: t.update({f"{FIRST}.base_layer.weight": t[f"{FIRST}.lora_A.weight"].clone()})
        ),
        "base_layer.weight is no part of a LoRA adapter",
    ),
    "an output layer that is declared": (
        trained_on(modules_to_save=["lm_head"]),
        r"lm_head.weight: whole layers were not asked for",
    ),
    "a norm that is declared": (
        trained_on(modules_to_save=["norm"]),
        "input_layernorm.weight is no part of a LoRA adapter",
    ),
    # D9 to D11: the base
    "another base by name": (
        config(base_model_name_or_path="meta-llama/Llama-3.2-1B"),
        "was trained on meta-llama/Llama-3.2-1B; org/model was asked for",
    ),
    "a base with fewer layers": (on_another(layers=1), r"missing: model\.layers\.1\.mlp"),
    "a base with more layers": (on_another(layers=4), r"not asked for: model\.layers\.2\.mlp"),
    "a wider base": (on_another(hidden=64), r"is for a layer \[64, 128\]; .* is \[32, 64\]"),
    "one layer of another width": (weights(widen), r"layers\.1\.mlp\.down_proj: is for a layer"),
    # Rank and targets
    "another rank": (trained_on(r=8), "has rank 8; rank 4 was asked for"),
    "a rank of its own for a layer": (
        trained_on(rank_pattern={"down_proj": 2}),
        "has rank 2, 4; rank 4 was asked for",
    ),
    "a rank that the weights do not have": (config(r=8), "do not have the rank"),
    "other targets": (
        trained_on(target_modules=["q_proj", "v_proj"]),
        r"missing: model\.layers\.0\.mlp\.down_proj",
    ),
    "more targets": (trained_on(target_modules="all-linear"), r"not asked for: .*gate_proj"),
    "half of the blocks": (trained_on(layers_to_transform=[1]), r"missing: model\.layers\.0"),
    "targets that the weights do not have": (
        config(target_modules=["q_proj", "down_proj", "v_proj"]),
        r"adapter_config\.json: missing: .*v_proj",
    ),
    "fewer targets in the config": (
        config(target_modules=["q_proj"]),
        r"adapter_config\.json: not asked for: .*down_proj",
    ),
    "a full model": (full, "holds a full model; an adapter was asked for"),
    # D14: numbers and settings
    "not a number": (put_one(float("nan")), "layers.1.self_attn.q_proj.lora_B.weight holds"),
    "infinite": (put_one(float("inf")), "layers.1.self_attn.q_proj.lora_B.weight holds"),
    "never trained": (fill(0.0, "B"), "never trained"),
    "minus zero": (fill(-0.0, "B"), "never trained"),
    "alpha a thousand times": (config(lora_alpha=8 * 1000), "lora_alpha / r is 2000"),
    "alpha a thousand times for a layer": (config(alpha_pattern={"q_proj": 8000}), "r is 2000"),
    "alpha a thousand times, stabilised": (
        config(lora_alpha=8000, use_rslora=True),
        r"lora_alpha / sqrt\(r\) is 4000",
    ),
    "pissa": (config(init_lora_weights="pissa"), "init_lora_weights"),
    "pissa in iterations": (config(init_lora_weights="pissa_niter_16"), "init_lora_weights"),
    "olora": (config(init_lora_weights="olora"), "init_lora_weights"),
    "corda": (config(init_lora_weights="corda", corda_config={"x": 1}), "corda"),
    "layers copied": (config(layer_replication=[[0, 2], [0, 2]]), "layer_replication"),
    # D15: the file
    "a name twice": (twice, "stands there twice"),
    "100,000 names": (many, "at most 1048576 are read"),
    "a header of megabytes": (header("{", " " * 3_000_000 + "{"), "at most 1048576 are read"),
    "cut short": (cut, "fill"),
    "junk behind the end": (junk, "fill"),
    "code in the settings": (config(auto_mapping={"parent_library": "evil"}), "names code"),
}


def test_the_right_adapter_is_accepted_and_loads(folder: Path, base: Path) -> None:
    assert gate.check(folder, ASKED) == "adapter"
    assert gate.check(folder, Asked("adapter", BASE)) == "adapter"
    change_config(folder, base_model_name_or_path="org/absent")
    assert gate.check(folder, ABSENT) == "adapter"
    assert Adapter.open(folder).load(base=base).peft_config["default"].r == 4


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_adapter_is_refused_by_name(folder: Path, name: str) -> None:
    damage, reason = WRONG[name]
    damage(folder)
    with pytest.raises(AdapterError, match=reason) as caught:
        gate.check(folder, ASKED)
    assert str(folder) in str(caught.value)


def test_the_config_of_the_adapter_is_not_changed_by_the_check(folder: Path) -> None:
    before = (folder / CONFIG).read_bytes()
    gate.check(folder, ASKED)
    assert (folder / CONFIG).read_bytes() == before
