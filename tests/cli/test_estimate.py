"""`tunekit estimate`: methods side by side, for a model at hand or any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tunekit.cli.app import app

CONFIG = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
}


def call(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["estimate", *arguments])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


def facts(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call(*arguments, "--json"))
    return found


def test_the_methods_stand_side_by_side() -> None:
    lines = call("--model", "embedded:smollm2-135m", "--gpu", "24GB").splitlines()
    assert lines[0].startswith("embedded:smollm2-135m, 0.135 billion parameters, on 24 GB")
    names = [line.split("  ")[0].strip() for line in lines[2:] if line.strip()]
    assert names == [
        *("full", "full", "lora", "lora"),
        *("qlora nf4", "qlora nf4", "qlora int8", "qlora int8"),
    ]


def test_our_own_kernels_count_where_they_would_train(tmp_path: Path) -> None:
    def told(family: str) -> dict[str, dict[str, Any]]:
        (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "model_type": family}))
        choices = facts("--model", str(tmp_path), "--gpu", "24GB", "--batch", "4")["choices"]
        return {each["method"]: each for each in choices if not each["checkpointing"]}

    known, unknown = told("llama"), told("olmo")
    kernels = {method: each["kernels"] for method, each in known.items()}
    assert kernels == {
        "full": "reference",
        "lora": "fast",
        "qlora nf4": "fast",
        "qlora int8": "fast",
    }
    assert {each["kernels"] for each in unknown.values()} == {"reference"}
    assert known["full"]["bytes"] == pytest.approx(unknown["full"]["bytes"], rel=1e-3)
    assert known["lora"]["bytes"] < unknown["lora"]["bytes"]
    assert (
        known["lora"]["seconds_per_million_tokens"]
        < (unknown["lora"]["seconds_per_million_tokens"])
    )


def test_as_json_the_components_add_up(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    told = facts("--model", str(tmp_path), "--gpu", "24GB", "--batch", "2")
    # https://huggingface.co/meta-llama/Llama-3.1-8B
    assert told["parameters"] == 8_030_261_248
    assert (told["batch"], told["length"], told["device_bytes"]) == (2, 2048, 24_000_000_000)
    for choice in told["choices"]:
        assert sum(choice["components"].values()) == pytest.approx(choice["bytes"], abs=10)
    fitting = {(each["method"], each["checkpointing"]) for each in told["choices"] if each["fits"]}
    assert ("qlora nf4", True) in fitting
    assert ("full", True) not in fitting


def test_a_config_alone_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "llama.json"
    file.write_text(json.dumps(CONFIG))
    assert facts("--model", str(file), "--gpu", "H100")["parameters"] == 8_030_261_248


def test_a_model_is_made_up_from_its_size() -> None:
    told = facts("--parameters", "8B", "--hidden", "4096", "--gpu", "24GB")
    assert told["parameters"] == 8_000_000_000
    lora = next(
        each for each in told["choices"] if each["method"] == "lora" and each["checkpointing"]
    )
    # torchtune's README: Llama-3.1-8B, LoRA, 2 x 2048 takes 16.2 GiB.
    assert lora["bytes"] == pytest.approx(16.2 * 2**30, rel=0.15)


def test_without_a_gpu_it_is_about_this_machine() -> None:
    told = facts("--model", "embedded:smollm2-135m")
    assert told["device_bytes"] > 0


def test_a_named_gpu_has_its_memory() -> None:
    small, large = (
        facts("--model", "embedded:smollm2-135m", "--gpu", name)["device_bytes"]
        for name in ("4090", "h100")
    )
    assert (small, large) == (24_000_000_000, 80_000_000_000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--gpu", "24GB"), "give --model, or --parameters 8B --hidden 4096"),
        (("--parameters", "8B"), "give --model, or --parameters 8B --hidden 4096"),
        (("--model", "acme/unknown", "--gpu", "24GB"), "the sizes of acme/unknown are not known"),
        (("--model", "embedded:smollm2-135m", "--gpu", "huge"), "'huge' is no size; write 24GB"),
        (("--model", "nowhere.json"), "there is no file nowhere.json"),
        (("--parameters", "1M", "--hidden", "4096"), "leave nothing for layers"),
    ],
)
def test_what_cannot_be_estimated_is_said(arguments: tuple[str, ...], message: str) -> None:
    assert message in call(*arguments, code=2)
