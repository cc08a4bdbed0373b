"""Log-probabilities and gradients are those of PEFT and autograd, for each family and variant."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.local.fast.tiny import (
    FAMILIES,
    Found,
    adapted,
    by_autograd,
    by_network,
    model,
    padded,
    passes,
    some_rows,
    worst,
)
from tunekit.backends.local.fast.linear import Masks
from tunekit.backends.local.fast.reading import read
from tunekit.backends.local.fast.stream import join

# PEFT asks for what transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

TOLERANCE = 2e-5
ROWS = some_rows([23, 9, 31, 17], alike=18)


def ours(
    peft_model: Any, run: str = "native", *, share: bool = True, recompute: bool = False
) -> Found:
    network = read(peft_model, passes(run), recompute=recompute)
    stream = join(ROWS, share=share)
    return by_network(peft_model, network.log_probs(stream).log_probs)


def agree(found: Found, expected: Found) -> None:
    torch.testing.assert_close(found.log_probs, expected.log_probs, rtol=TOLERANCE, atol=TOLERANCE)
    assert worst(found, expected) < TOLERANCE


@pytest.mark.parametrize("run", ["torch", "native"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_computed_as_transformers_and_peft_do(family: str, run: str) -> None:
    windowed = "window" in family or family == "gemma3"
    peft_model = adapted(model(family))
    expected = by_autograd(peft_model, ROWS)
    agree(ours(peft_model, run, share=not windowed), expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"tie_word_embeddings": True},
        {"num_key_value_heads": 1},
        {"num_key_value_heads": 4},
        {"num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 2},
        {"num_hidden_layers": 1},
        {"hidden_act": "gelu_pytorch_tanh"},
    ],
    ids=str,
)
def test_a_shape_makes_no_difference(settings: dict[str, Any]) -> None:
    peft_model = adapted(model(**settings))
    expected = by_autograd(peft_model, ROWS)
    agree(ours(peft_model), expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"use_rslora": True, "r": 8},
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "olora"},
        {"init_lora_weights": "orthogonal", "r": 4},
        {"init_lora_weights": "gaussian"},
        {"target_modules": ["q_proj", "v_proj"]},
        {"target_modules": ["o_proj"]},
        {"target_modules": ["up_proj"]},
        {"target_modules": ["down_proj"], "layers_to_transform": [1]},
        {"target_modules": ["k_proj", "down_proj"], "layers_to_transform": [1]},
        {"rank_pattern": {"q_proj": 7, "up_proj": 1}, "alpha_pattern": {"v_proj": 1}},
    ],
    ids=str,
)
def test_a_variant_of_lora_is_learnt_as_peft_learns_it(settings: dict[str, Any]) -> None:
    peft_model = adapted(model(), **settings)
    expected = by_autograd(peft_model, ROWS)
    agree(ours(peft_model), expected)


class Given(nn.Module):
    """A dropout whose mask is known, for padded rows."""

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.mask = mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask


def give_masks(peft_model: Any, masks: Masks, *, rate: float) -> None:
    """Put the masks of our passes in the place of PEFT's dropout."""
    width = max(len(row.tokens) for row in ROWS)
    needed = torch.zeros(len(ROWS), width, dtype=torch.bool)
    for n, row in enumerate(ROWS):
        needed[n, : row.needed] = True
    for place, layer in enumerate(peft_model.get_base_model().model.layers):
        attention, mlp = layer.self_attn, layer.mlp
        groups = (
            (attention.q_proj, attention.k_proj, attention.v_proj),
            (attention.o_proj,),
            (mlp.gate_proj, mlp.up_proj),
            (mlp.down_proj,),
        )
        for n, group in enumerate(groups):
            for part, module in enumerate(group):
                flat = torch.empty(int(needed.sum()), module.in_features)
                mask = torch.ones(*needed.shape, module.in_features)
                mask[needed] = masks.draw(16 * place + 4 * n + part, flat, rate)
                module.lora_dropout["default"] = Given(mask)


@pytest.mark.parametrize("run", ["torch", "native"])
@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
def test_dropout_is_that_of_peft_with_the_same_masks(run: str, recompute: bool) -> None:
    peft_model = adapted(model(), lora_dropout=0.3)
    network = read(peft_model, passes(run), recompute=recompute)
    torch.manual_seed(11)
    scores = network.log_probs(join(ROWS, share=False), training=True)
    found = by_network(peft_model, scores.log_probs)

    torch.manual_seed(11)
    give_masks(peft_model, Masks(int(torch.randint(1 << 31, ()).item())), rate=0.3)
    agree(found, by_autograd(peft_model.train(), ROWS))


def test_dropout_keeps_the_share_that_it_should_and_the_mean() -> None:
    mask = Masks(3).draw(5, torch.empty(400, 500), 0.2)
    assert sorted(mask.unique().tolist()) == [0.0, 1.25]
    # Five standard deviations of 200,000 draws.
    assert float((mask == 0).float().mean()) == pytest.approx(0.2, abs=5 * (0.16 / 200_000) ** 0.5)
    assert not torch.equal(mask, Masks(3).draw(6, torch.empty(400, 500), 0.2))


def test_without_training_nothing_is_dropped() -> None:
    peft_model = adapted(model(), lora_dropout=0.3).eval()
    agree(ours(peft_model), by_autograd(peft_model, ROWS))


def test_the_base_alone_is_asked_without_its_adapters() -> None:
    peft_model = adapted(model())
    with peft_model.disable_adapter():
        expected = by_autograd_without_gradient(peft_model)
    network = read(peft_model, passes(), recompute=False)
    found = network.reference(join(ROWS, share=True)).log_probs
    assert not found.requires_grad
    torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def by_autograd_without_gradient(peft_model: Any) -> torch.Tensor:
    batch = padded(ROWS)
    labels = batch.pop("labels")[:, 1:]
    with torch.no_grad():
        logits = peft_model(**batch).logits[:, :-1]
    counted = labels != -100
    chosen = torch.log_softmax(logits, -1)[counted]
    return chosen.gather(-1, labels[counted][:, None]).squeeze(-1)


def test_the_model_computes_as_before_after_it_was_read() -> None:
    peft_model = adapted(model())
    expected = by_autograd(peft_model, ROWS)
    read(peft_model, passes(), recompute=False)
    agree(by_autograd(peft_model, ROWS), expected)


def test_a_step_of_the_optimizer_is_seen_by_the_next_pass() -> None:
    peft_model = adapted(model())
    network = read(peft_model, passes(), recompute=False)
    before = network.log_probs(join(ROWS, share=True)).log_probs
    with torch.no_grad():
        for weight in peft_model.parameters():
            if weight.requires_grad:
                weight.add_(0.05)
    found = by_network(peft_model, network.log_probs(join(ROWS, share=True)).log_probs)
    agree(found, by_autograd(peft_model, ROWS))
    assert not torch.allclose(before, found.log_probs, atol=1e-3)
