"""A model that is not wholly understood is left alone, and the reason is said."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from peft import AdaLoraConfig, get_peft_model

from tests.local.fast.tiny import adapted, model
from tunekit.backends.local.fast.install import install
from tunekit.backends.local.fast.operations import Operations
from tunekit.backends.local.fast.reading import read
from tunekit.backends.local.fast.unsuited import Unsuited
from tunekit.errors import SpecError

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


def another_family() -> Any:
    config = transformers.Gemma2Config(
        vocab_size=61,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
    )
    return adapted(transformers.Gemma2ForCausalLM(config))


def hooked() -> Any:
    made = adapted(model())
    made.get_base_model().model.layers[1].mlp.register_forward_hook(lambda *_: None)
    return made


def patched() -> Any:
    made = adapted(model())
    attention = made.get_base_model().model.layers[0].self_attn
    attention.forward = attention.forward
    return made


def with_a_trained_norm() -> Any:
    made = adapted(model())
    made.get_base_model().model.norm.weight.requires_grad_(True)
    return made


def with_more_parts() -> Any:
    made = adapted(model())
    made.get_base_model().model.layers[0].extra = torch.nn.Identity()
    return made


def merged() -> Any:
    made = adapted(model())
    made.merge_adapter()
    return made


def with_adalora() -> Any:
    config = AdaLoraConfig(
        r=2, init_r=3, total_step=10, target_modules=["q_proj"], task_type="CAUSAL_LM"
    )
    return get_peft_model(model(), config)


UNSUITED: dict[str, tuple[Callable[[], Any], str]] = {
    "another family": (another_family, "Gemma2ForCausalLM is none of"),
    "DoRA": (lambda: adapted(model(), use_dora=True), "a variant of LoRA"),
    "a bias of the adapter": (lambda: adapted(model(), lora_bias=True), "a variant of LoRA"),
    "AdaLoRA": (with_adalora, "SVDLinear is no linear layer"),
    "trained biases": (
        lambda: adapted(model("llama with biases"), bias="all"),
        "bias is trained, which is no adapter",
    ),
    "a trained norm": (with_a_trained_norm, "norm.weight is trained"),
    "an adapter on the head": (
        lambda: adapted(model(), target_modules=["lm_head", "q_proj"]),
        "the head is Linear",
    ),
    "trained words": (
        lambda: adapted(model(), modules_to_save=["embed_tokens"]),
        "words are embedded by ModulesToSaveWrapper",
    ),
    "another activation": (lambda: adapted(model(hidden_act="relu")), "activation is ReLU"),
    "dropout in attention": (
        lambda: adapted(model(attention_dropout=0.1)),
        "attention has a dropout",
    ),
    "half precision": (lambda: adapted(model().half()), "the weights are torch.float16"),
    "a hook": (hooked, "somebody has changed how LlamaMLP works"),
    "a patch": (patched, "somebody has changed how LlamaAttention works"),
    "more parts": (with_more_parts, "LlamaDecoderLayer holds extra"),
    "merged": (merged, "it is merged"),
    "nothing trained": (lambda: adapted(model()).requires_grad_(False), "no adapter is trained"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # PEFT warns of some of these itself
@pytest.mark.parametrize("case", UNSUITED)
def test_what_is_not_understood_is_named_and_nothing_is_changed(case: str) -> None:
    make, reason = UNSUITED[case]
    peft_model = make()
    before = {name: weight.data_ptr() for name, weight in peft_model.named_parameters()}
    with pytest.raises(Unsuited, match=reason):
        read(peft_model, Operations(), recompute=False)
    assert before == {name: weight.data_ptr() for name, weight in peft_model.named_parameters()}


def trainer_of(peft_model: Any) -> Any:
    """What `install` looks at."""
    accelerator = SimpleNamespace(unwrap_model=lambda wrapped: wrapped)
    return SimpleNamespace(model=peft_model, accelerator=accelerator)


def request(**changes: Any) -> dict[str, Any]:
    return {
        "kernels": "auto",
        "objective": "sft",
        "peft": {"peft_type": "LORA"},
        "trainer": {"gradient_checkpointing": False},
        **changes,
    }


def test_auto_goes_back_to_the_reference_and_says_why() -> None:
    peft_model = adapted(model(hidden_act="relu"))
    before = peft_model.get_base_model().forward
    (line,) = install(trainer_of(peft_model), request())
    assert line == "kernels: reference, since the MLP's activation is ReLU"
    assert peft_model.get_base_model().forward == before


def test_fast_is_an_order() -> None:
    trainer = trainer_of(adapted(model(hidden_act="relu")))
    with pytest.raises(
        SpecError, match=r"backend\.kernels: fast does not train this model: the MLP"
    ):
        list(install(trainer, request(kernels="fast")))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"objective": "grpo"}, "grpo is no objective of log-probabilities alone"),
        ({"peft": {"peft_type": "VERA"}}, "only LoRA and its like"),
        ({"peft": None}, "only LoRA and its like"),
    ],
    ids=str,
)
def test_a_request_for_something_else_is_not_answered(changes: dict[str, Any], reason: str) -> None:
    (line,) = install(trainer_of(adapted(model())), request(**changes))
    assert line.startswith("kernels: reference, since ") and reason in line


def test_the_reference_is_left_alone() -> None:
    assert list(install(trainer_of(object()), request(kernels="reference"))) == []


def test_without_a_compiler_torch_does_it_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    (line,) = install(trainer_of(adapted(model())), request())
    assert line.startswith("kernels: fast, and slower than it could be: no C compiler")
