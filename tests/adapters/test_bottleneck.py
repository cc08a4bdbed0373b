"""Bottleneck adapters: what they are, where they stand, and what the gate takes for one."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.adapters.made import change_config, change_weights, saved
from tests.tiny import tiny_model
from tunekit.adapters.adapter import Adapter
from tunekit.adapters.bottleneck.config import parameters
from tunekit.errors import AdapterError

IDS = torch.tensor([[1, 70, 71, 72, 2, 30, 40, 50]])
MLP = "base_model.model.model.layers.1.mlp.bottleneck_"

SMALL = {
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "mistral": {"num_key_value_heads": 2},
    "gemma3_text": {"num_key_value_heads": 2, "head_dim": 8},
    "gpt_neox": {},
    "gpt2": {},
    "opt": {"word_embed_proj_dim": 16, "ffn_dim": 48},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
}


def family(name: str) -> Any:
    """A small model of a family, with seeded weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(name, **{**SMALL, **FAMILIES.get(name, {})})
    config.pad_token_id = config.bos_token_id = config.eos_token_id = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config).eval()


def adapted(model: Any, *, seed: int | None = None, **settings: Any) -> Any:
    """Put an adapter on a model; with a seed it is changed as if it had been trained."""
    import peft

    from tunekit.adapters.bottleneck.tuner import peft_config

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        wanted = peft_config(**{"size": 4, "task_type": "CAUSAL_LM", **settings})
        made = peft.get_peft_model(model, wanted)
    noise = torch.Generator().manual_seed(seed or 0)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.requires_grad and seed is not None:
                weight += 0.1 * torch.randn(weight.shape, generator=noise)
    return made.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(IDS, use_cache=False).logits
    return found


def of_base(base: Path, **settings: Any) -> Any:
    from transformers import AutoModelForCausalLM

    return adapted(AutoModelForCausalLM.from_pretrained(base), **settings)


def trained_in(folder: Path, base: Path, **settings: Any) -> Path:
    return saved(of_base(base, seed=1, **settings), folder)


@pytest.fixture
def folder(tmp_path: Path, base: Path) -> Path:
    """A trained adapter of size 4 behind the MLPs of the tiny model, to be damaged."""
    return trained_in(tmp_path / "adapter", base)


@pytest.mark.parametrize(
    ("placement", "published"), [("pfeiffer", 894_528), ("houlsby", 1_789_056)]
)
def test_twelve_blocks_of_768_have_the_published_number_of_weights(
    placement: str, published: int
) -> None:
    """AdapterHub's blog of 2022-09-05 prints these for roberta-base and a reduction of 16."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        config = LlamaConfig(hidden_size=768, num_hidden_layers=12, vocab_size=64)
        model = adapted(LlamaForCausalLM(config), placement=placement, size=768 // 16)
    trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert trainable == published
    assert parameters(layers=12, hidden=768, size=48, placement=placement) == published


@pytest.mark.parametrize(
    ("name", "placement"), [("llama", "pfeiffer"), *((name, "houlsby") for name in FAMILIES)]
)
def test_an_adapter_is_the_identity_until_it_is_trained_or_when_it_is_off(
    name: str, placement: str
) -> None:
    expected = logits(family(name))
    assert logits(adapted(family(name), placement=placement)).equal(expected)

    trained = adapted(family(name), placement=placement, seed=1)
    assert not logits(trained).allclose(expected, atol=1e-3)
    with trained.disable_adapter():
        assert logits(trained).equal(expected)
    assert not logits(trained).allclose(expected, atol=1e-3)
    assert logits(trained.unload()).equal(expected)


def test_the_network_is_that_of_the_paper() -> None:
    """h + W_up f(W_down h + b_down) + b_up of the MLP's output (Houlsby et al. 2019, figure 2)."""
    model = adapted(family("llama"), activation="gelu", seed=1)
    layer = model.base_model.model.model.layers[0].mlp
    down, up = layer.bottleneck_down["default"], layer.bottleneck_up["default"]
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(2))
    h = layer.base_layer(x)
    inner = torch.nn.functional.gelu(h @ down.weight.T + down.bias)
    assert layer(x).allclose(h + inner @ up.weight.T + up.bias, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.gradient_checkpointing_enable:FutureWarning")
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_reach_the_adapter_only(checkpointing: bool) -> None:
    model = adapted(family("llama"), placement="houlsby", seed=1).train()
    if checkpointing:
        model.enable_input_require_grads()
        inside = {"use_reentrant": False}
        model.get_base_model().gradient_checkpointing_enable(gradient_checkpointing_kwargs=inside)
    model(IDS, labels=IDS).loss.backward()
    reached = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert reached == {name for name, _ in model.named_parameters() if "bottleneck_" in name}
    assert all(weight.grad.any() for weight in model.parameters() if weight.requires_grad)


def test_beside_a_bfloat16_base_the_adapter_stays_in_float32() -> None:
    base = family("llama").to(torch.bfloat16)
    expected = logits(base)
    model = adapted(base)
    assert logits(model).equal(expected)
    trained = {weight.dtype for weight in model.parameters() if weight.requires_grad}
    assert trained == {torch.float32}


def test_dropout_works_on_what_the_network_is_given() -> None:
    model = adapted(family("llama"), dropout=0.5, seed=1)
    assert logits(model).equal(logits(model))
    torch.manual_seed(0)
    assert not logits(model.train()).allclose(logits(model))


def test_a_model_whose_blocks_are_built_otherwise_is_refused() -> None:
    with pytest.raises(AdapterError, match=r"h\.0\.mlp: adds the residual connection itself"):
        adapted(family("bloom"))
    with pytest.raises(AdapterError, match="mamba: a bottleneck adapter needs blocks with"):
        adapted(family("mamba"))
    with pytest.raises(AdapterError, match=r"layers\.0: .* only .*linear_attn.*; use placement"):
        adapted(family("qwen3_next"), placement="houlsby")


@pytest.mark.parametrize("placement", ["pfeiffer", "houlsby"])
def test_a_loaded_adapter_gives_the_logits_it_was_saved_with(
    tmp_path: Path, base: Path, placement: str
) -> None:
    made = of_base(base, placement=placement, activation="silu", size=6, seed=1)
    adapter = Adapter.open(saved(made, tmp_path))
    loaded = adapter.load()
    assert logits(loaded).equal(logits(made))
    assert not any(weight.requires_grad for weight in loaded.parameters())

    open_to_training = adapter.load(trainable=True)
    names = {n for n, weight in open_to_training.named_parameters() if weight.requires_grad}
    assert names == {n for n, _ in open_to_training.named_parameters() if "bottleneck_" in n}


def test_peft_loads_the_folder_once_it_knows_the_method_and_refuses_it_by_name_before(
    folder: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import peft
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        found = logits(peft.PeftModel.from_pretrained(model, folder))
    assert found.equal(logits(Adapter.open(folder).load()))

    monkeypatch.delitem(PEFT_TYPE_TO_CONFIG_MAPPING, "TUNEKIT_BOTTLENECK")
    with pytest.raises(KeyError, match="TUNEKIT_BOTTLENECK"):
        peft.PeftModel.from_pretrained(model, folder)


def test_an_adapter_says_what_it_is(folder: Path, base: Path) -> None:
    found = Adapter.open(folder).describe()
    assert found.method == "bottleneck (pfeiffer) of size 4, relu"
    assert (found.rank, found.alpha, found.targets) == (None, None, ("mlp",))
    assert found.parameters == parameters(layers=2, hidden=32, size=4, placement="pfeiffer")
    assert found.base == str(base)


def test_it_cannot_be_merged(tmp_path: Path, folder: Path) -> None:
    adapter = Adapter.open(folder)
    with pytest.raises(AdapterError, match="no matrix of the base can take it in"):
        adapter.merge(tmp_path / "merged")
    with pytest.raises(ValueError, match="no matrix of the base can take it in"):
        adapter.load().merge_and_unload()


def test_a_base_of_other_sizes_is_refused(tmp_path: Path, folder: Path) -> None:
    adapter = Adapter.open(folder)
    with pytest.raises(AdapterError, match=r"missing: .*layers\.2\.mlp\.bottleneck_down"):
        adapter.load(base=tiny_model(tmp_path / "deep", layers=3))
    with pytest.raises(AdapterError, match=r"of another shape: .* \[4, 32\] instead of \[4, 64\]"):
        adapter.load(base=tiny_model(tmp_path / "wide", hidden=64))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.pop(MLP + "up.bias"), r"layers\.1\.mlp: bottleneck_up\.bias is missing"),
        (lambda t: t.clear(), "holds no bottleneck_down and bottleneck_up"),
        (
            lambda t: [t.pop(name) for name in list(t) if "layers.0" in name],
            "block 0 has 0 of the 1 networks",
        ),
        (
            lambda t: t.update({"base_model.model.lm_head.weight": torch.ones(320, 32)}),
            "lm_head.weight is no part of a bottleneck adapter",
        ),
        (
            lambda t: t.update({MLP + "down.weight": torch.ones(5, 32)}),
            r"down\.weight is \[5, 32\]; with size 4 and 32 outside it is \[4, 32\]",
        ),
        (
            lambda t: t.update({MLP + "up.bias": torch.ones(31)}),
            r"up\.bias is \[31\]; with size 4 and 32 outside it is \[32\]",
        ),
        (
            lambda t: t.update({MLP + "up.weight": torch.ones(32, 4, dtype=torch.int32)}),
            "is I32; floats are expected",
        ),
        (
            lambda t: t.update({MLP + "up.weight": torch.full((32, 4), torch.nan)}),
            "the training diverged",
        ),
        (lambda t: [t[n].zero_() for n in t if "_up" in n], "this adapter was never trained"),
    ],
    ids=["missing", "empty", "hole", "extra", "size", "width", "integers", "nan", "untrained"],
)
def test_weights_that_are_no_bottleneck_adapter_are_refused(
    folder: Path, change: Any, reason: str
) -> None:
    change_weights(folder, change)
    with pytest.raises(AdapterError, match=reason):
        Adapter.open(folder)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"size": 5}, "with size 5"),
        ({"size": 10**6}, "size: Input should be less than or equal to 16384"),
        ({"size": "4"}, "size: Input should be a valid integer"),
        ({"placement": "houlsby"}, "block 0 has 1 of the 2 networks that placement houlsby"),
        ({"placement": "elsewhere"}, "placement: Input should be"),
        ({"activation": "os.system"}, "activation: Input should be"),
        ({"dropout": 1.0}, "dropout: Input should be less than 1"),
        ({"auto_mapping": {"parent_library": "evil"}}, "auto_mapping: Extra inputs"),
        ({"target_modules": ["lm_head"]}, "target_modules: Extra inputs"),
        ({"peft_type": "LORA"}, "peft_type: Input should be 'TUNEKIT_BOTTLENECK'"),
        ({"tunekit_type": "other"}, "tunekit_type: Input should be 'bottleneck'"),
    ],
    ids=str,
)
def test_a_config_that_is_no_bottlenecks_is_refused(
    folder: Path, values: dict[str, Any], reason: str
) -> None:
    change_config(folder, **values)
    with pytest.raises(AdapterError, match=reason):
        Adapter.open(folder)
