"""What is expected of an adapter or a model: of its base where that is here, else of itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.made import FIRST, change_config, peft_model, saved
from tests.adapters.wrong import (
    ABSENT,
    ASKED,
    BASE,
    DOWN,
    SECOND,
    Damage,
    copy,
    drop,
    on_another,
    put,
    rename,
    trained_on,
    weights,
    widen,
)
from tunekit.adapters import gate
from tunekit.adapters.adapter import Adapter
from tunekit.adapters.asked import Asked, Targets
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


ACCEPTED: dict[str, tuple[dict[str, Any], Targets | None]] = {
    "all-linear": ({"target_modules": "all-linear"}, "all-linear"),
    "whatever the config lists": ({"target_modules": ["v_proj", "up_proj"]}, None),
    "a regular expression": ({"target_modules": r".*\.(q|v)_proj"}, ("v_proj", "q_proj")),
    "DoRA": ({"use_dora": True}, ("q_proj", "down_proj")),
    "embeddings": ({"target_modules": ["q_proj", "embed_tokens"]}, ("embed_tokens", "q_proj")),
    "one layer by its whole name": (
        {"target_modules": ["model.layers.1.mlp.up_proj"]},
        ("model.layers.1.mlp.up_proj",),
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_peft_makes_of_the_targets_is_what_is_expected(
    tmp_path: Path, base: Path, name: str
) -> None:
    settings, targets = ACCEPTED[name]
    folder = saved(peft_model(base, **settings), tmp_path / "adapter")
    change_config(folder, base_model_name_or_path=BASE)
    assert gate.check(folder, Asked("adapter", BASE, 4, targets)) == "adapter"


def test_a_config_that_leaves_the_targets_open_is_taken_at_its_weights(
    folder: Path, base: Path
) -> None:
    change_config(folder, target_modules=None, rank_pattern=None, bias=None, lora_dropout=None)
    assert gate.check(folder, ASKED) == "adapter"
    assert Adapter.open(folder).load(base=base).peft_config["default"].r == 4
    drop(SECOND)(folder)
    with pytest.raises(AdapterError, match=r"missing: model\.layers\.1\.self_attn\.q_proj"):
        gate.check(folder, Asked("adapter", BASE))


def test_all_linear_without_one_kind_of_layer_is_refused(folder: Path) -> None:
    with pytest.raises(AdapterError, match=r"missing: model\.layers\.0\.mlp\.gate_proj.* more"):
        gate.check(folder, Asked("adapter", BASE, 4, "all-linear"))


@pytest.mark.parametrize("kind", ["gpt2", "gpt2 as its authors saved it"])
def test_a_base_with_turned_matrices_and_other_prefixes_is_understood(
    tmp_path: Path, cache: Path, kind: str
) -> None:
    from safetensors.torch import load_file, save_file
    from transformers import GPT2Config, GPT2LMHeadModel

    other = GPT2LMHeadModel(GPT2Config(vocab_size=320, n_embd=32, n_layer=2, n_head=2))
    other.save_pretrained(tmp_path / "gpt2")
    folder = saved(peft_model(tmp_path / "gpt2", target_modules=["c_attn"]), tmp_path / "adapter")
    if kind != "gpt2":
        file = tmp_path / "gpt2" / "model.safetensors"
        save_file({n.removeprefix("transformer."): t for n, t in load_file(file).items()}, file)
    put(cache, "openai/gpt2", tmp_path / "gpt2")
    change_config(folder, base_model_name_or_path="openai/gpt2")
    assert gate.check(folder, Asked("adapter", "openai/gpt2", 4, ("c_attn",))) == "adapter"
    with pytest.raises(AdapterError, match=r"missing: .*c_proj"):
        gate.check(folder, Asked("adapter", "openai/gpt2", 4, "all-linear"))


ALONE: dict[str, tuple[Damage, str]] = {
    "a layer gone": (drop(SECOND), "block 1: missing: self_attn.q_proj"),
    "a block gone": (
        lambda f: [drop(m)(f) for m in (FIRST, FIRST.replace("self_attn.q", "mlp.down"))],
        "missing: block 0",
    ),
    "a hole": (rename("layers.1.", "layers.2."), "missing: block 1"),
    "fewer blocks": (on_another(layers=1), "missing: block 1"),
    "more blocks": (on_another(layers=3), "not asked for: block 2"),
    "another layer": (copy(SECOND, SECOND.replace("q_", "k_")), r"not asked for: .*k_proj"),
    "all layers of one kind gone": (
        lambda f: [drop(m)(f) for m in (FIRST, SECOND)],
        "missing: q_proj",
    ),
    "one layer of another width": (weights(widen), r"in other blocks it is \[32, 64\]"),
    "another rank": (trained_on(r=8), "has rank 8; rank 4 was asked for"),
}


@pytest.mark.parametrize("name", ALONE)
def test_without_the_base_at_hand_an_adapter_must_be_even(folder: Path, name: str) -> None:
    damage, reason = ALONE[name]
    damage(folder)
    change_config(folder, base_model_name_or_path="org/absent")
    with pytest.raises(AdapterError, match=reason):
        gate.check(folder, ABSENT)


def test_without_the_base_at_hand_blocks_of_two_kinds_are_accepted(folder: Path) -> None:
    # Hybrid models have attention in every fourth block.
    for number in range(2, 8):
        copy(DOWN, DOWN.replace(".1.", f".{number}."))(folder)
    drop(SECOND)(folder)
    copy(FIRST, FIRST.replace(".0.", ".4."))(folder)
    change_config(folder, base_model_name_or_path="org/absent")
    asked = Asked("adapter", "org/absent", 4, ("q_proj", "down_proj"), layers=8)
    assert gate.check(folder, asked) == "adapter"


@pytest.fixture
def tuned(tmp_path: Path, base: Path) -> Path:
    """A full model that was trained on."""
    folder = tmp_path / "tuned"
    peft_model(base).merge_and_unload().save_pretrained(folder)
    return folder


def change_model(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


NORM = "model.layers.1.input_layernorm.weight"
WRONG_MODELS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a tensor gone": (lambda t: t.pop(NORM), r"missing: layers\.1\.input_layernorm\.weight"),
    "a tensor more": (
        lambda t: t.update({"model.extra.weight": t[NORM].clone()}),
        r"not asked for: model\.extra\.weight",
    ),
    "another shape": (
        lambda t: t.update({NORM: t[NORM][:16].clone()}),
        r"input_layernorm\.weight \[16\] instead of \[32\]",
    ),
}


@pytest.mark.parametrize("name", WRONG_MODELS)
def test_a_wrong_full_model_is_refused_by_name(tuned: Path, name: str) -> None:
    asked = Asked("model", BASE)
    assert gate.check(tuned, asked) == "model"
    change, reason = WRONG_MODELS[name]
    change_model(tuned, change)
    with pytest.raises(AdapterError, match=reason):
        gate.check(tuned, asked)


def test_the_base_itself_is_no_result(model_folder: Path) -> None:
    with pytest.raises(AdapterError, match="is org/model, unchanged"):
        gate.check(model_folder, Asked("model", BASE))


def test_a_full_model_without_its_last_blocks_is_refused_where_the_base_is_not_here(
    tuned: Path,
) -> None:
    asked = Asked("model", "org/absent", layers=2)
    assert gate.check(tuned, asked) == "model"
    change_model(tuned, lambda t: [t.pop(name) for name in list(t) if ".layers.1." in name])
    with pytest.raises(AdapterError, match="missing: block 1"):
        gate.check(tuned, asked)


def test_an_adapter_is_no_full_model(folder: Path) -> None:
    with pytest.raises(AdapterError, match="holds an adapter; a full model was asked for"):
        gate.check(folder, Asked("model", BASE))
