"""Methods by one word, and what each refuses."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from tunekit.errors import SpecError
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import SHORTHANDS, MethodName
from tunekit.testing.full import members


def method(asked: Any) -> Any:
    return FineTune(model="acme/model", data="rows.jsonl", method=asked).method


@pytest.mark.parametrize("word", get_args(MethodName))
def test_every_word_that_is_offered_means_a_method(word: str) -> None:
    assert method(word).type in {kind.model_fields["type"].default for kind in members("method")}


def test_every_tag_and_every_shorthand_is_offered_as_a_word() -> None:
    tags = {kind.model_fields["type"].default for kind in members("method")} - {"peft"}
    assert set(get_args(MethodName)) == tags | SHORTHANDS.keys()


@pytest.mark.parametrize(
    ("word", "type_", "options"),
    [
        ("dora", "lora", {"use_dora": True}),
        ("DoRA", "lora", {"use_dora": True}),
        ("rsLoRA", "lora", {"use_rslora": True}),
        ("LoRA+", "lora", {"lr_ratio": 16.0}),
        ("lora_plus", "lora", {"lr_ratio": 16.0}),
        ("PiSSA", "lora", {"init": "pissa"}),
        ("olora", "lora", {"init": "olora"}),
        ("eva", "lora", {"init": "eva"}),
        ("loftq", "qlora", {"init": "loftq"}),
        ("QDoRA", "qlora", {"use_dora": True}),
        ("prefix_tuning", "prefix", {}),
        ("P-Tuning", "ptuning", {}),
    ],
)
def test_a_word_of_the_field_is_a_method_with_an_option(
    word: str, type_: str, options: dict[str, Any]
) -> None:
    found = method(word)
    assert found.type == type_
    assert {name: getattr(found, name) for name in options} == options


def test_a_word_takes_settings_of_its_method() -> None:
    found = method({"type": "dora", "rank": 8})
    assert (found.type, found.rank, found.use_dora) == ("lora", 8, True)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"type": "lora", "lr_ratio": 0.5}, "method.lr_ratio"),
        ({"type": "lora", "init": "kaiming"}, "method.init"),
        ({"type": "lora", "loraplus_lr_ratio": 16}, "here it is called 'method.lr_ratio'"),
        ({"type": "lora", "init_lora_weights": "pissa"}, "here it is called 'method.init'"),
        ({"type": "ia3", "dropout": 0.1}, "method.dropout: unknown key"),
        ({"type": "adalora", "prune_start": 0.8}, "must be more than prune_start"),
        ({"type": "full", "freeze_trainable_layers": 2}, "'method.last_layers'"),
        ({"type": "peft"}, "method.config: is required"),
        ({"type": "peft", "config": {"r": 8}}, "says no peft_type"),
        ({"type": "prefix", "prefix_projection": True}, "unknown key"),
        ("lorra", "did you mean 'lora'"),
    ],
)
def test_what_a_method_does_not_take_is_named(asked: Any, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        method(asked)


def test_a_type_of_peft_is_written_as_peft_writes_it() -> None:
    assert method({"type": "peft", "config": {"peft_type": "miss"}}).config["peft_type"] == "MISS"
