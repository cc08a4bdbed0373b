"""The base's name, the provider's own, and what providers write into a config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.made import change_config
from tunekit.adapters import gate
from tunekit.adapters.adapter import Adapter
from tunekit.adapters.provenance import Provenance
from tunekit.adapters.rename import rename_base
from tunekit.errors import AdapterError

BASE = "Qwen/Qwen3-0.6B"
FIREWORKS = "accounts/fireworks/models/qwen3-0p6b"


def written(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / gate.CONFIG).read_text())
    return content


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        (FIREWORKS, FIREWORKS),
        (FIREWORKS, None),
        ("/scratch/models/base", None),
        ("togethercomputer/Qwen3-0.6B-Reference", None),
        ("unsloth/qwen3-0.6b-unsloth-bnb-4bit", None),
        ("acme/private-name", "acme/private-name"),
    ],
)
def test_the_base_gets_its_canonical_name_and_the_provider_s_is_told(
    folder: Path, name: str, alias: str | None
) -> None:
    change_config(folder, base_model_name_or_path=name, revision="of-the-copy")
    before = written(folder)
    assert rename_base(folder, BASE, alias) == name
    assert written(folder) == {key: value for key, value in before.items() if key != "revision"} | {
        "base_model_name_or_path": BASE
    }
    assert gate.check(folder) == "adapter"
    assert rename_base(folder, BASE, alias) == BASE


def test_a_base_without_a_name_gets_one(folder: Path) -> None:
    change_config(folder, base_model_name_or_path=None)
    assert rename_base(folder, BASE) is None
    assert written(folder)["base_model_name_or_path"] == BASE


@pytest.mark.parametrize(
    "name", ["Qwen/Qwen3-1.7B", "meta-llama/Llama-3.2-1B", "Qwen/Qwen3-0.6B-Base"]
)
def test_another_model_is_not_renamed(folder: Path, name: str) -> None:
    change_config(folder, base_model_name_or_path=name)
    before = (folder / gate.CONFIG).read_bytes()
    with pytest.raises(AdapterError, match=f"was trained on {name}; {BASE} was asked for"):
        rename_base(folder, BASE, FIREWORKS)
    assert (folder / gate.CONFIG).read_bytes() == before


def test_a_name_that_is_no_text_is_refused(folder: Path) -> None:
    change_config(folder, base_model_name_or_path={"path": "x"})
    with pytest.raises(AdapterError, match="is no name"):
        rename_base(folder, BASE)


def test_a_full_model_is_left_alone(model_folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in model_folder.iterdir()}
    assert rename_base(model_folder, BASE, FIREWORKS) is None
    assert {path.name: path.read_bytes() for path in model_folder.iterdir()} == before


def test_the_record_keeps_the_alias_and_what_was_really_used(folder: Path, base: Path) -> None:
    used = {"lora_alpha": 8, "learning_rate": 1e-5, "epochs": 3}
    made = Provenance.of(
        folder,
        run_id="a-run",
        spec={},
        request={},
        base_model=str(base),
        versions={},
        data={},
        base_alias=FIREWORKS,
        used=used,
    )
    made.write(folder)
    found = Adapter.open(folder).provenance
    assert found is not None
    assert (found.base_alias, found.used) == (FIREWORKS, used)


OLD = ("alora_invocation_tokens", "arrow_config", "corda_config", "eva_config", "exclude_modules")
CONFIGS: dict[str, dict[str, Any]] = {
    "PEFT 0.3": {"enable_lora": None, "merge_weights": False, "modules_to_save": None},
    "PEFT 0.21": {
        **dict.fromkeys((*OLD, "layer_replication", "layers_pattern", "megatron_config")),
        "lora_bias": False,
        "loftq_config": {},
        "megatron_core": "megatron.core",
        "qalora_group_size": 16,
        "peft_version": "0.21.2",
        "target_parameters": None,
        "trainable_token_indices": None,
    },
    "everything open": dict.fromkeys(
        (
            *("lora_dropout", "bias", "fan_in_fan_out", "inference_mode", "init_lora_weights"),
            *("rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "target_modules"),
            *("task_type", "revision", "modules_to_save", "layers_to_transform", "auto_mapping"),
        )
    ),
    "whole numbers for fractions": {"lora_dropout": 0, "lora_alpha": 8},
    "fractions for whole numbers": {"lora_alpha": 8.0, "r": 4},
    "lists for nothing": {"modules_to_save": [], "layers_pattern": [], "layers_to_transform": []},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_what_others_write_into_a_config_is_read(folder: Path, base: Path, name: str) -> None:
    change_config(folder, **CONFIGS[name])
    adapter = Adapter.open(folder)
    assert (adapter.describe().rank, adapter.describe().alpha) == (4, 8)
    assert adapter.load(base=base).peft_config["default"].lora_alpha == 8


def test_a_chat_template_other_than_the_base_s_is_told(folder: Path, base: Path) -> None:
    assert Adapter.open(folder).describe().warnings == ()
    (folder / "chat_template.jinja").write_text("{% for i in range(10**9) %}{% endfor %}")
    (told,) = Adapter.open(folder).describe().warnings
    assert told == f"the chat template differs from that of {base}"
    assert told in str(Adapter.open(folder))


def test_a_chat_template_in_the_tokenizer_s_settings_is_compared_too(
    folder: Path, base: Path
) -> None:
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    for held in (template, [{"name": "default", "template": template}, {"name": "rag"}, 3]):
        file.write_text(json.dumps(settings | {"chat_template": held}))
        assert Adapter.open(folder).describe().warnings == ()
    file.write_text(json.dumps(settings | {"chat_template": "other"}))
    assert len(Adapter.open(folder).describe().warnings) == 1


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_chat_template_of_megabytes_is_refused(folder: Path, name: str) -> None:
    text = "x" * 300_000
    (folder / name).write_text(json.dumps({"chat_template": text}) if "json" in name else text)
    with pytest.raises(AdapterError, match=f"{name}: .* larger|longer than 262144 bytes"):
        Adapter.open(folder)


def test_settings_of_a_tokenizer_may_have_more_than_a_megabyte(folder: Path) -> None:
    # Gemma 3 lists over 6,000 added tokens there.
    tokens = {str(n): {"content": f"<unused{n}>", "special": False} for n in range(30_000)}
    text = json.dumps({"added_tokens_decoder": tokens})
    assert len(text) > 1 << 20
    (folder / "tokenizer_config.json").write_text(text)
    assert gate.check(folder) == "adapter"
