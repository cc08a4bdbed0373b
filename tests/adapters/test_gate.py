"""What the gate lets in, and everything that it keeps out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.made import (
    FIRST,
    change_config,
    change_header,
    change_weights,
    peft_model,
    saved,
)
from tunekit.adapters import gate
from tunekit.adapters.gate import CONFIG, INDEX, WEIGHTS
from tunekit.errors import AdapterError

Damage = Callable[[Path], Any]


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": "all-linear"},
        {"use_rslora": True},
        {"use_dora": True},
        {"modules_to_save": ["lm_head"]},
        {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {"down_proj": 4}},
        {"init_lora_weights": "gaussian"},
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"layers_to_transform": [1]},
    ],
    ids=str,
)
def test_an_adapter_that_peft_saved_is_accepted(
    tmp_path: Path, base: Path, settings: dict[str, Any]
) -> None:
    saved(peft_model(base, **settings), tmp_path)
    assert gate.check(tmp_path) == "adapter"


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float64"])
def test_every_float_precision_is_accepted(folder: Path, precision: str) -> None:
    import torch

    dtype = getattr(torch, precision)
    change_weights(folder, lambda t: t.update({name: v.to(dtype) for name, v in t.items()}))
    assert gate.check(folder) == "adapter"


def test_a_mapping_to_transformers_own_class_is_accepted_as_unsloth_writes_it(folder: Path) -> None:
    mapping = {
        "base_model_class": "LlamaForCausalLM",
        "parent_library": "transformers.models.llama.modeling_llama",
        "unsloth_fixed": True,
    }
    change_config(folder, auto_mapping=mapping)
    assert gate.check(folder) == "adapter"


def test_a_full_model_is_accepted_whole_or_in_shards(tmp_path: Path, base: Path) -> None:
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(base).save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert gate.check(tmp_path) == "model"
    assert gate.check(base) == "model"


def add(name: str, content: str = "") -> Damage:
    return lambda folder: (folder / name).write_text(content)


def configured(**values: Any) -> Damage:
    return lambda folder: change_config(folder, **values)


def weighted(change: Callable[[dict[str, Any]], Any]) -> Damage:
    return lambda folder: change_weights(folder, change)


def headed(change: Callable[[str], str]) -> Damage:
    return lambda folder: change_header(folder, change)


def poison(number: float, dtype: str) -> Damage:
    """Put one number into the middle of a tensor of that precision."""
    import torch

    def change(tensors: dict[str, Any]) -> None:
        weight = tensors[f"{FIRST}.lora_A.weight"].to(getattr(torch, dtype))
        weight[2, 7] = number
        tensors[f"{FIRST}.lora_A.weight"] = weight

    return weighted(change)


def zero(tensors: dict[str, Any]) -> None:
    for name in tensors:
        if "lora_B" in name:
            tensors[name].zero_()


def link(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder.parent / "elsewhere")
    (folder / WEIGHTS).symlink_to(folder.parent / "elsewhere")


def resize(folder: Path, change: int) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:change] if change < 0 else content + bytes(change))


def say_twice(folder: Path) -> None:
    text = (folder / CONFIG).read_text()
    (folder / CONFIG).write_text(text.replace("{", '{"r": 8,', 1))


def wide_rank(tensors: dict[str, Any]) -> None:
    import torch

    tensors[f"{FIRST}.lora_A.weight"] = torch.ones(5, 32)
    tensors[f"{FIRST}.lora_B.weight"] = torch.ones(32, 5)


def repeat_first(text: str) -> str:
    """Say the first tensor's name twice."""
    entry = re.search(rf'"{re.escape(FIRST)}\.lora_A\.weight":{{[^}}]*}}', text)
    assert entry
    return text.replace("{", "{" + entry.group() + ",", 1)


def shift_first(text: str) -> str:
    """Let the first tensor begin four bytes later and end four bytes later."""
    ends = re.findall(r'"data_offsets":\[0,(\d+)\]', text)
    return text.replace(f"[0,{ends[0]}]", f"[4,{int(ends[0]) + 4}]")


BAD: dict[str, tuple[Damage, str]] = {
    # Files
    "a pickle of weights": (add("adapter_model.bin"), "may run code"),
    "a pickle of arguments": (add("training_args.bin"), "may run code"),
    "a torch file": (add("optimizer.pt"), "may run code"),
    "a pickle in capitals": (add("STATE.PKL"), "may run code"),
    "a Python file": (add("modeling_custom.py"), "is code"),
    "a shared library": (add("kernel.so"), "is code"),
    "an unknown file": (add("notes.txt"), "not a file of an adapter"),
    "a hidden file": (add(".netrc"), "not a file of an adapter"),
    "a folder": (lambda f: (f / "checkpoint-1").mkdir(), "no plain file"),
    "a link to the weights": (link, "no plain file"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "is missing"),
    "no config": (lambda f: (f / CONFIG).unlink(), "neither"),
    "adapter and model": (lambda f: shutil.copy(f / WEIGHTS, f / "model.safetensors"), "not both"),
    # Config
    "megatron with a module": (
        configured(megatron_config={"x": 1}, megatron_core="megatron.evil"),
        "megatron_config names code",
    ),
    "megatron_core alone": (configured(megatron_core="megatron_evil"), "megatron_core names code"),
    "auto_mapping": (
        configured(auto_mapping={"parent_library": "evil", "base_model_class": "X"}),
        "auto_mapping names code",
    ),
    "auto_mapping that looks like transformers": (
        configured(auto_mapping={"parent_library": "transformers.models.a.modeling_a.evil"}),
        "auto_mapping names code",
    ),
    "auto_map in the tokenizer": (
        add("tokenizer_config.json", '{"auto_map": {"AutoTokenizer": ["evil.Tok", null]}}'),
        "auto_map names code",
    ),
    "auto_map deep inside": (
        add("generation_config.json", '{"a": [{"auto_map": {"x": "y"}}]}'),
        "auto_map names code",
    ),
    "an unknown key": (configured(on_load="print(1)"), "on_load='print"),
    "another peft type": (configured(peft_type="XLORA"), "peft_type"),
    "weights that change the base": (configured(init_lora_weights="pissa"), "init_lora_weights"),
    "loftq": (configured(loftq_config={"loftq_bits": 4}), "loftq_config"),
    "layers copied": (configured(layer_replication=[[0, 2], [1, 2]]), "layer_replication"),
    "biases of the base": (configured(bias="all"), "bias"),
    "rank zero": (configured(r=0), "r: "),
    "rank as text": (configured(r="4"), "r: "),
    "alpha beyond reason": (configured(lora_alpha=8000), r"lora_alpha / r is 2000"),
    "alpha not a number": (configured(lora_alpha=float("nan")), "lora_alpha"),
    "a regular expression without end": (
        configured(rank_pattern={"(a+)+$": 4}),
        "rank_pattern",
    ),
    "a key twice": (say_twice, "'r' stands there twice"),
    "no JSON": (add(CONFIG, "<html>404</html>"), "is no JSON"),
    "JSON of another kind": (add(CONFIG, "[]"), "is no JSON object"),
    "JSON without end": (add(CONFIG, "[" * 100_000), "is no JSON"),
    "a config of 2 MB": (configured(revision="x" * 2_000_000), "larger than"),
    # Weights
    "not a number, float32": (poison(float("nan"), "float32"), "infinite or undefined"),
    "infinite, float32": (poison(float("-inf"), "float32"), "infinite or undefined"),
    "not a number, bfloat16": (poison(float("nan"), "bfloat16"), "infinite or undefined"),
    "infinite, bfloat16": (poison(float("inf"), "bfloat16"), "infinite or undefined"),
    "not a number, float16": (poison(float("nan"), "float16"), "infinite or undefined"),
    "infinite, float64": (poison(float("inf"), "float64"), "infinite or undefined"),
    "whole numbers": (poison(3, "int32"), "floats are expected"),
    "never trained": (weighted(zero), "never trained"),
    "a B without its A": (weighted(lambda t: t.pop(f"{FIRST}.lora_A.weight")), "A is missing"),
    "an A without its B": (weighted(lambda t: t.pop(f"{FIRST}.lora_B.weight")), "B is missing"),
    "another rank than the config's": (weighted(wide_rank), "do not have the rank"),
    "transposed": (
        weighted(lambda t: t.update({n: v.T.contiguous() for n, v in t.items()})),
        "do not have the rank",
    ),
    "weights of the base": (
        weighted(
            lambda t: t.update({"base_model.model.lm_head.weight": next(iter(t.values())) * 2})
        ),
        "it would replace the base's",
    ),
    "magnitudes without DoRA": (
        weighted(lambda t: t.update({f"{FIRST}.lora_magnitude_vector": t.popitem()[1]})),
        "missing or extra",
    ),
    "no tensors": (weighted(dict.clear), "holds no lora_A"),
    "a web page": (add(WEIGHTS, "<!DOCTYPE html><title>Sign in</title>"), "cut short"),
    "empty": (add(WEIGHTS), "cut short"),
    "cut short": (lambda f: resize(f, -64), "fill"),
    "bytes behind the end": (lambda f: resize(f, 64), "fill"),
    "a name twice": (headed(repeat_first), "stands there twice"),
    "a gap": (headed(shift_first), "does not begin where"),
    "a negative place": (headed(lambda t: t.replace("[0,", "[-4,")), "no dtype, shape and place"),
    "another shape": (headed(lambda t: t.replace('"shape":[4,', '"shape":[3,')), "no dtype, shape"),
    "an unknown type": (headed(lambda t: t.replace('"F32"', '"F31"')), "no dtype, shape and place"),
    "a header of 2 MB": (headed(lambda t: t + " " * 2_000_000), "at most 1048576"),
    "a header without end": (headed(lambda t: t[:-20]), "not what safetensors writes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_adapter_is_refused(folder: Path, name: str) -> None:
    damage, reason = BAD[name]
    damage(folder)
    with pytest.raises(AdapterError, match=reason) as caught:
        gate.check(folder)
    assert str(folder) in str(caught.value)


def drop_shard(folder: Path) -> None:
    shard(folder)
    min(folder.glob("model-*.safetensors")).unlink()


def shard(folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")


def lose_index(folder: Path) -> None:
    shard(folder)
    (folder / INDEX).unlink()


def diverge(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][3] = float("inf")
    save_file(tensors, folder / "model.safetensors")


def configured_model(**values: Any) -> Damage:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return change


BAD_MODELS: dict[str, tuple[Damage, str]] = {
    "code of its own": (configured_model(auto_map={"AutoModel": "evil.Model"}), "auto_map"),
    "code for attention": (
        configured_model(_attn_implementation_internal="evil/kernel"),
        "_attn_implementation_internal",
    ),
    "no type": (configured_model(model_type=None), "says no model_type"),
    "a pickle beside the weights": (add("pytorch_model.bin"), "may run code"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "holds no model.safetensors"),
    "a shard gone": (drop_shard, "does not fit"),
    "shards without index": (lose_index, "is missing"),
    "diverged": (diverge, "infinite or undefined"),
}


@pytest.mark.parametrize("name", BAD_MODELS)
def test_a_bad_model_is_refused(model_folder: Path, name: str) -> None:
    damage, reason = BAD_MODELS[name]
    damage(model_folder)
    with pytest.raises(AdapterError, match=reason):
        gate.check(model_folder)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="there is no such folder"):
        gate.check(tmp_path / "gone")


def test_templates_beside_the_main_one_are_accepted_and_nothing_else(folder: Path) -> None:
    templates = folder / "additional_chat_templates"
    templates.mkdir()
    (templates / "rag.jinja").write_text("{{ messages }}")
    assert gate.check(folder) == "adapter"
    (templates / "run.py").touch()
    with pytest.raises(AdapterError, match="is code"):
        gate.check(folder)


def test_checking_runs_no_code_of_the_adapter_and_loads_no_training_library(folder: Path) -> None:
    change_config(folder, megatron_config={"a": 1}, megatron_core="megatron.evil")
    package = folder.parent / "megatron"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "evil.py").write_text("open('canary', 'w')")
    code = (
        "import sys; from pathlib import Path\n"
        "from tunekit.adapters.adapter import Adapter\n"
        "from tunekit.errors import AdapterError\n"
        "try: Adapter.open('adapter')\n"
        "except AdapterError as error: print(error)\n"
        "print([n for n in ('torch', 'numpy', 'peft', 'megatron') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder.parent, capture_output=True, text=True, check=True
    )
    assert "names code to import" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
    assert not (folder.parent / "canary").exists()
