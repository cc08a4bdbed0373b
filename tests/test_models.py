"""A model is described from its files, from the cache or from a table; never from the network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunekit.errors import SpecError
from tunekit.models import EMBEDDED, Model, configured, describe, imagined
from tunekit.planning.meta import count_parameters


def save(folder: Path, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def sizes(
    h: int, layers: int, heads: int, kv: int, inner: int, vocabulary: int, **more: Any
) -> dict[str, Any]:
    return {
        "hidden_size": h,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        **more,
    }


# Sizes from the config.json, counts from the safetensors metadata, as published on the hub.
PUBLISHED = {
    "Llama-3.1-8B": (
        8_030_261_248,
        sizes(4096, 32, 32, 8, 14336, 128256, model_type="llama"),
    ),
    "Llama-3.2-1B": (
        1_235_814_400,
        sizes(2048, 16, 32, 8, 8192, 128256, model_type="llama", tie_word_embeddings=True),
    ),
    "SmolLM2-135M": (
        134_515_008,
        sizes(576, 30, 9, 3, 1536, 49152, model_type="llama", tie_word_embeddings=True),
    ),
    "Mistral-7B-v0.1": (
        7_241_732_096,
        sizes(4096, 32, 32, 8, 14336, 32000, model_type="mistral"),
    ),
    "Qwen2.5-0.5B": (
        494_032_768,
        sizes(896, 24, 14, 2, 4864, 151936, model_type="qwen2", tie_word_embeddings=True),
    ),
    "Qwen2.5-7B": (
        7_615_616_512,
        sizes(3584, 28, 28, 4, 18944, 152064, model_type="qwen2"),
    ),
    "Qwen3-0.6B": (
        596_049_920,
        sizes(1024, 28, 16, 8, 3072, 151936, model_type="qwen3", tie_word_embeddings=True),
    ),
    "gemma-2-2b": (
        2_614_341_888,
        sizes(2304, 26, 8, 4, 9216, 256000, model_type="gemma2"),
    ),
    "Phi-3-mini": (
        3_821_079_552,
        sizes(3072, 32, 32, 32, 8192, 32064, model_type="phi3"),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_parameters_are_those_published(name: str, tmp_path: Path) -> None:
    count, config = PUBLISHED[name]
    assert describe(str(save(tmp_path, **config))).parameters == count


FAMILIES = [
    "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3", "smollm3",
    "olmo2", "olmo3", "granite",
]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore")
def test_the_parameters_are_those_of_the_model_that_transformers_builds(
    family: str, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        family,
        vocab_size=1000,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=24,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.device("meta"):
        built = AutoModelForCausalLM.from_config(config)
    config.save_pretrained(tmp_path)
    known = describe(str(tmp_path))
    assert known.parameters == sum(weight.numel() for weight in built.parameters())
    assert (known.family, known.hidden_size, known.layers) == (family, 64, 3)
    assert (known.heads, known.kv_heads, known.head_dim) == (4, 2, 24)
    assert known.tied_embeddings == config.tie_word_embeddings


def test_the_embedded_model_is_known_without_its_package() -> None:
    known = describe("embedded:smollm2-135m")
    # https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct
    assert (known.hidden_size, known.layers, known.heads, known.kv_heads) == (576, 30, 9, 3)
    assert (known.intermediate_size, known.vocab_size, known.context) == (1536, 49152, 8192)
    assert (known.tied_embeddings, known.parameters) == (True, 134_515_008)
    assert known.known_from == "embedded"


def test_an_embedded_model_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(SpecError, match="'embedded:smol' is unknown; there is embedded:smollm2"):
        describe("embedded:smol")
    with pytest.raises(
        SpecError, match=r"is no hub id \(owner/name\), no folder, and not embedded:"
    ):
        describe("embeded:smollm2-135m")


def test_a_folder_is_described_by_its_config_and_template(tmp_path: Path) -> None:
    _, config = PUBLISHED["Qwen3-0.6B"]
    save(tmp_path, **config, dtype="bfloat16", max_position_embeddings=40960, head_dim=128)
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    assert describe(str(tmp_path)) == Model(
        id=str(tmp_path),
        family="qwen3",
        parameters=596_049_920,
        hidden_size=1024,
        layers=28,
        heads=16,
        kv_heads=8,
        head_dim=128,
        intermediate_size=3072,
        vocab_size=151936,
        context=40960,
        tied_embeddings=True,
        dtype="bfloat16",
        chat_template="{{ messages }}",
        folder=str(tmp_path),
        known_from="folder",
    )


def test_the_template_file_goes_before_the_tokenizer_config(tmp_path: Path) -> None:
    save(tmp_path, model_type="llama")
    named = [{"name": "tool_use", "template": "b"}, {"name": "default", "template": "a"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert describe(str(tmp_path)).chat_template == "a"
    (tmp_path / "chat_template.jinja").write_text("c")
    assert describe(str(tmp_path)).chat_template == "c"


def test_the_text_part_of_a_vision_model_is_described(tmp_path: Path) -> None:
    _, config = PUBLISHED["gemma-2-2b"]
    save(tmp_path, model_type="gemma3", text_config={**config, "model_type": "gemma2"})
    known = describe(str(tmp_path))
    assert (known.family, known.parameters) == ("gemma2", 2_614_341_888)


def test_an_unknown_family_is_counted_from_its_safetensors(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save(tmp_path, model_type="mamba9", hidden_size=8)
    tensors = {"a": torch.zeros(3, 4), "b": torch.zeros(7)}
    save_file(tensors, tmp_path / "model-00001-of-00002.safetensors", {"format": "pt"})
    save_file({"c": torch.zeros(())}, tmp_path / "model-00002-of-00002.safetensors")
    assert describe(str(tmp_path)).parameters == 12 + 7 + 1
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"\x00" * 4)
    assert describe(str(tmp_path)).parameters is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[1]", "is not a JSON object"),
        (b'{"model_type": "llama", "hidden_size": "wide"}', "is not the config of a language"),
        (b'{"model_type": 3}', "is not the config of a language"),
        (b'{"model_type": [], "hidden_size": 3}', "is not the config of a language"),
    ],
)
def test_a_broken_config_is_named(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(SpecError, match=told) as caught:
        describe(str(tmp_path))
    assert str(tmp_path / "config.json") in str(caught.value)
    assert "again" in str(caught.value)


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"holds no config\.json; give a folder that save_pretr"):
        describe(str(tmp_path))


def test_an_adapter_is_no_model_but_names_its_base(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "acme/base"}')
    with pytest.raises(SpecError, match=r"it is an adapter: give its base model \(acme/base\)"):
        describe(str(tmp_path))


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").touch()
    with pytest.raises(SpecError, match=r"model\.gguf is a file; give the folder"):
        describe(str(tmp_path / "model.gguf"))


@pytest.mark.parametrize("path", ["./base", "../base", "/no/such/base", "~/nowhere", "a/b/c", "a/"])
def test_a_path_that_leads_nowhere_is_refused(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SpecError, match=f"there is no folder {path}; give one that exists, or"):
        describe(path)


@pytest.mark.parametrize("name", ["my model", "acme/small?", "a\0b", "x y/z"])
def test_what_is_neither_path_nor_hub_id_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="is no hub id"):
        describe(name)


def test_a_name_longer_than_the_system_allows_is_no_folder() -> None:
    assert describe("x" * 5000).known_from == "nothing"


def fill_cache(cache: Path) -> Path:
    repository = cache / "models--acme--small"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    _, config = PUBLISHED["SmolLM2-135M"]
    return save(repository / "snapshots" / "abc123", **config)


@pytest.mark.parametrize(
    ("variable", "below"),
    [
        ("HF_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
        ("HOME", ".cache/huggingface/hub"),
    ],
)
def test_a_hub_model_is_described_from_the_cache(
    variable: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    snapshot = fill_cache(tmp_path / below)
    known = describe("acme/small")
    assert (known.id, known.known_from, known.folder) == ("acme/small", "cache", str(snapshot))
    assert known.parameters == 134_515_008


def test_the_cache_is_where_huggingface_hub_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import try_to_load_from_cache

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = fill_cache(tmp_path)
    found = try_to_load_from_cache("acme/small", "config.json", cache_dir=tmp_path)
    assert found == str(snapshot / "config.json")
    assert describe("acme/small").folder == str(Path(found).parent)


def test_a_hub_model_that_is_not_cached_is_allowed_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert describe("acme/small") == Model(id="acme/small", known_from="nothing")


def test_a_table_row_is_named_by_its_id() -> None:
    assert [model.id for model in EMBEDDED.values()] == list(EMBEDDED)


def test_a_config_is_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    count, config = PUBLISHED["Mistral-7B-v0.1"]
    file = tmp_path / "mistral.json"
    file.write_text(json.dumps(config))
    assert configured(file).parameters == count


def test_gpt2_is_known_to_have_an_mlp_of_four_times_its_width(tmp_path: Path) -> None:
    save(tmp_path, model_type="gpt2", n_embd=768, n_layer=12, n_head=12, vocab_size=50257)
    assert describe(str(tmp_path)).intermediate_size == 3072


def test_a_model_is_made_up_with_the_layers_that_its_size_leaves() -> None:
    # Llama-2-13B has 40 layers of 5120.
    made = imagined(13_015_864_320, 5120, layers=None, vocabulary=32000)
    assert made.layers == 40
    assert made.intermediate_size == pytest.approx(13824, rel=0.02)


def test_a_model_without_layers_cannot_be_made_up() -> None:
    with pytest.raises(SpecError, match="leave nothing for layers beside embeddings"):
        imagined(10**6, 4096, layers=None, vocabulary=128_256)


@pytest.mark.slow
def test_the_parameters_of_any_build_are_counted_without_weights(tmp_path: Path) -> None:
    # https://huggingface.co/EleutherAI/pythia-70m: 70,426,624 parameters.
    save(
        tmp_path,
        model_type="gpt_neox",
        hidden_size=512,
        num_hidden_layers=6,
        num_attention_heads=8,
        intermediate_size=2048,
        vocab_size=50304,
        max_position_embeddings=2048,
    )
    assert describe(str(tmp_path)).parameters is None
    assert count_parameters(tmp_path) == 70_426_624


def test_a_config_that_nobody_knows_has_no_count(tmp_path: Path) -> None:
    save(tmp_path, model_type="acme")
    assert count_parameters(tmp_path, python="/nowhere/python") is None
