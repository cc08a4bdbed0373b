"""Adapters of PEFT's other methods pass the gate, load, merge where they can, or are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.made import change_config, change_weights
from tests.adapters.typed import KINDS, SOFT, typed, typed_folder
from tunekit.adapters import gate
from tunekit.adapters.adapter import Adapter
from tunekit.adapters.asked import Asked
from tunekit.adapters.peft_types.table import TYPES
from tunekit.errors import AdapterError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PEFT's, of prompts and positions
IDS = [[1, 70, 71, 72, 2, 30, 40, 50]]
Change = Callable[[Path], Any]


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model(torch.tensor(IDS)).logits


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, base: Path) -> dict[str, Path]:
    """One adapter of each type."""
    room = tmp_path_factory.mktemp("types")
    return {kind: typed_folder(base, kind, room / kind) for kind in KINDS}


@pytest.fixture
def copy(tmp_path: Path, shelf: dict[str, Path]) -> Callable[[str], Path]:
    """Copy an adapter, to be damaged."""
    return lambda kind: Path(shutil.copytree(shelf[kind], tmp_path / kind))


def test_every_type_that_is_read_is_tried() -> None:
    assert KINDS.keys() == TYPES.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_adapter_gives_the_logits_it_was_saved_with(
    shelf: dict[str, Path], base: Path, kind: str
) -> None:
    found = logits(Adapter.open(shelf[kind]).load())
    made = typed(base, kind)
    assert found.shape == logits(made).shape
    assert (found - logits(made)).abs().max().item() < 1e-5
    assert (
        found[:, -8:] - logits(made.get_base_model() if kind in SOFT else made.unload())
    ).abs().max().item() > 1e-4


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"P_TUNING"}))
def test_an_adapter_that_is_loaded_for_training_is_the_same_and_open(
    shelf: dict[str, Path], kind: str
) -> None:
    adapter = Adapter.open(shelf[kind])
    model = adapter.load(trainable=True)
    assert model.training
    assert any(weight.requires_grad for weight in model.parameters())
    assert (logits(model.eval()) - logits(adapter.load())).abs().max().item() < 1e-5


def test_virtual_tokens_without_their_network_are_not_trained_further(
    shelf: dict[str, Path],
) -> None:
    with pytest.raises(AdapterError, match="without the network that made them"):
        Adapter.open(shelf["P_TUNING"]).load(trainable=True)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - set(SOFT)))
def test_merged_weights_give_the_logits_of_base_and_adapter(
    shelf: dict[str, Path], tmp_path: Path, base: Path, kind: str
) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / name, shelf[kind])
    adapter = Adapter.open(shelf[kind])
    merged = Adapter.open(adapter.merge(tmp_path / "merged"))
    difference = logits(merged.load()) - logits(adapter.load())
    assert difference.abs().max().item() < 1e-4


@pytest.mark.parametrize("kind", SOFT)
def test_virtual_tokens_cannot_be_merged(shelf: dict[str, Path], tmp_path: Path, kind: str) -> None:
    with pytest.raises(AdapterError, match="virtual tokens before the prompt"):
        Adapter.open(shelf[kind]).merge(tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if TYPES[kind].idle])
def test_an_adapter_that_was_never_trained_is_refused(
    tmp_path: Path, base: Path, kind: str
) -> None:
    folder = typed_folder(base, kind, tmp_path / "new", noise=0.0)
    with pytest.raises(AdapterError, match="was never trained"):
        Adapter.open(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_from_a_service_must_be_a_lora(shelf: dict[str, Path], kind: str) -> None:
    with pytest.raises(AdapterError, match="a LoRA was asked for"):
        gate.check(shelf[kind], Asked("adapter", "org/model"))


def test_ranks_that_adalora_has_cut_are_those_of_the_tensors(tmp_path: Path, base: Path) -> None:
    model = typed(base, "ADALORA", target_modules=["q_proj"])
    config = model.peft_config["default"]
    place = "model.layers.{}.self_attn.q_proj.lora_E"
    config.rank_pattern = {
        place.format(0): [True, False, True, True],
        place.format(1): [False, True, False, False],
    }
    model.base_model.rankallocator.mask_using_rank_pattern(
        model.base_model.model, config.rank_pattern
    )
    wanted = logits(model)
    from tests.adapters.made import saved

    adapter = Adapter.open(saved(model, tmp_path / "cut"))

    assert adapter.describe().rank == 2
    assert (logits(adapter.load()) - wanted).abs().max().item() < 1e-5
    content = json.loads((tmp_path / "cut" / "adapter_config.json").read_text())
    content["rank_pattern"][place.format(0)] = [True] * 4
    change_config(tmp_path / "cut", rank_pattern=content["rank_pattern"])
    with pytest.raises(AdapterError, match=r"is \[3, 32\], not \[4, in\]"):
        Adapter.open(tmp_path / "cut")


def config(**values: Any) -> Change:
    return lambda folder: change_config(folder, **values)


def tensors(change: Callable[[dict[str, Any]], Any]) -> Change:
    return lambda folder: change_weights(folder, change)


def first(found: dict[str, Any]) -> str:
    return min(found)


def rename(found: dict[str, Any]) -> None:
    found["base_model.model.lm_head.weight"] = found.pop(first(found))


def widen(found: dict[str, Any]) -> None:
    import torch

    name = first(found)
    found[name] = torch.ones(*found[name].shape, 2)


def whole_numbers(found: dict[str, Any]) -> None:
    import torch

    found[first(found)] = torch.ones(found[first(found)].shape, dtype=torch.int32)


def undefined(found: dict[str, Any]) -> None:
    found[first(found)].view(-1)[0] = float("nan")


HOSTILE: dict[str, tuple[Change, str]] = {
    "code of the hub": (config(auto_map={"AutoModel": "evil.Model"}), "names code to import"),
    "a module to import": (config(megatron_core="os"), "names code to import"),
    "a library to import": (
        config(auto_mapping={"base_model_class": "x", "parent_library": "evil"}),
        "auto_mapping",
    ),
    "a file to read": (config(cache_file="/etc/passwd"), "cache_file='/etc/passwd' is a setting"),
    "a tokenizer to load": (config(tokenizer_name_or_path="evil/repo"), "tokenizer_name_or_path"),
    "other adapters to load": (config(adapters={"a": "evil/repo"}), "adapters="),
    "a type of another kind": (config(peft_type=["LORA"]), "peft_type"),
    "a type that nobody knows": (config(peft_type="EVIL"), "peft_type"),
    "a task of another kind": (config(task_type="FEATURE_EXTRACTION"), "task_type"),
    "text for a switch": (config(inference_mode="yes"), "inference_mode"),
    "biases of the base": (config(bias="all"), "bias"),
    "tensors of the base": (tensors(rename), "no part of an adapter"),
    "another number of dimensions": (tensors(widen), "as adapter_config.json and the other"),
    "whole numbers": (tensors(whole_numbers), "floats are expected"),
    "a number that is none": (tensors(undefined), "infinite or undefined"),
    "no tensors": (tensors(dict.clear), "is missing|holds no"),
}


@pytest.mark.parametrize("attack", HOSTILE)
@pytest.mark.parametrize("kind", ["ADALORA", "IA3", "LOKR", "OFT", "PROMPT_TUNING", "VERA"])
def test_a_hostile_adapter_of_any_type_is_refused_by_name(
    copy: Callable[[str], Path], kind: str, attack: str
) -> None:
    folder = copy(kind)
    damage, reason = HOSTILE[attack]
    damage(folder)
    with pytest.raises(AdapterError, match=reason) as caught:
        Adapter.open(folder)
    assert str(folder) in str(caught.value)


BOUNDS: list[tuple[str, dict[str, Any]]] = [
    ("ADALORA", {"init_r": 1 << 30}),
    ("ADALORA", {"rank_pattern": {"model.layers.0.mlp.down_proj.lora_E": [2, 0, 1, 1]}}),
    ("ADALORA", {"lora_alpha": 1e9}),
    ("BOFT", {"boft_block_size": 0}),
    ("BOFT", {"boft_n_butterfly_factor": -1}),
    ("IA3", {"feedforward_modules": "(a+)+$"}),
    ("LOHA", {"alpha": 4096}),
    ("LOHA", {"use_effective_conv2d": True}),
    ("LOKR", {"decompose_factor": 1 << 40}),
    ("OFT", {"num_cayley_neumann_terms": 1 << 40}),
    ("OFT", {"coft": True}),
    ("PREFIX_TUNING", {"num_virtual_tokens": 1 << 40}),
    ("PREFIX_TUNING", {"prefix_projection": True}),
    ("PROMPT_TUNING", {"prompt_tuning_init": "TEXT"}),
    ("PROMPT_TUNING", {"prompt_tuning_init_text": "x"}),
    ("P_TUNING", {"encoder_num_layers": 1 << 40}),
    ("VERA", {"r": 1 << 40}),
    ("VERA", {"save_projection": False}),
    ("WAVEFT", {"wavelet_family": "__import__('os')"}),
]


@pytest.mark.parametrize(("kind", "values"), BOUNDS, ids=str)
def test_a_value_beyond_its_bounds_is_refused_by_name(
    copy: Callable[[str], Path], kind: str, values: dict[str, Any]
) -> None:
    folder = copy(kind)
    change_config(folder, **values)
    with pytest.raises(AdapterError, match=next(iter(values)) + "|alpha / rank"):
        Adapter.open(folder)


@pytest.mark.parametrize("kind", ["IA3", "LOHA", "OFT"])
def test_layers_chosen_by_a_pattern_are_loaded_by_their_names(
    tmp_path: Path, base: Path, kind: str
) -> None:
    """An expression of somebody else never runs on our side."""
    changes: dict[str, Any] = {"feedforward_modules": []} if kind == "IA3" else {}
    folder = typed_folder(
        base, kind, tmp_path / kind, target_modules=r".*layers\.1\.mlp\.(up|down)_proj", **changes
    )
    model = Adapter.open(folder).load()
    assert sorted(model.peft_config["default"].target_modules) == [
        "model.layers.1.mlp.down_proj",
        "model.layers.1.mlp.up_proj",
    ]


def test_a_layer_too_many_does_not_fit_the_base(copy: Callable[[str], Path]) -> None:
    def add(found: dict[str, Any]) -> None:
        name = next(name for name in found if "layers.1.mlp" in name)
        found[name.replace("layers.1.", "layers.7.")] = found[name].clone()

    folder = copy("IA3")
    change_weights(folder, add)
    with pytest.raises(AdapterError, match=r"left over: .*layers\.7\.mlp"):
        Adapter.open(folder).load()
