"""Attention by torch's own kernels is that of blocks of products."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from tests.local.fast.tiny import adapted, by_autograd, by_network, model, passes, some_rows, worst
from tunekit.backends.local.fast import devices, formulas
from tunekit.backends.local.fast.fused import Fused, repeating
from tunekit.backends.local.fast.reading import read
from tunekit.backends.local.fast.stream import join

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

ROWS = some_rows([23, 9, 31, 17])


@pytest.mark.parametrize("family", ["llama", "mistral with a window", "qwen3", "gemma3"])
@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
def test_row_by_row_the_gradients_are_those_of_autograd(family: str, recompute: bool) -> None:
    peft_model = adapted(model(family))
    expected = by_autograd(peft_model, ROWS)
    torchs = Fused(torch.device("cpu"), torch.float32)
    network = read(peft_model, passes("torch"), recompute=recompute, attention=torchs)
    found = by_network(peft_model, network.log_probs(join(ROWS, share=False)).log_probs)
    torch.testing.assert_close(found.log_probs, expected.log_probs, rtol=2e-5, atol=2e-5)
    assert worst(found, expected) < 2e-5


def test_keys_are_repeated_where_torch_does_not_share_them() -> None:
    query, key, value = (torch.randn(heads, 9, 8).transpose(0, 1) for heads in (6, 2, 2))

    def attend(*split: torch.Tensor, **named: Any) -> torch.Tensor:
        q, k, v = (part.transpose(0, 1) for part in split)
        return scaled_dot_product_attention(q, k, v, **named)

    found = repeating(attend)(query, key, value, enable_gqa=True, is_causal=True)
    assert torch.equal(found, attend(query, key, value, enable_gqa=True, is_causal=True))
    alike = repeating(attend)(key, key, value, enable_gqa=False)
    assert torch.equal(alike, attend(key, key, value))


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")  # torch's compiler uses what Python has renamed
@pytest.mark.parametrize("family", ["llama", "mistral with a window", "qwen3", "gemma3"])
def test_on_a_gpu_the_gradients_are_those_of_autograd(family: str) -> None:
    peft_model = adapted(model(family)).to("cuda")
    expected = by_autograd(peft_model, ROWS)
    run, _ = devices.operations(peft_model)
    attention = devices.attention(peft_model)
    network = read(peft_model, run, recompute=False, attention=attention)
    stream = join(ROWS, share=False, device=torch.device("cuda"))
    found = by_network(peft_model, network.log_probs(stream).log_probs)
    torch.testing.assert_close(found.log_probs, expected.log_probs, rtol=1e-4, atol=1e-4)
    assert worst(found, expected) < 1e-4


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")  # torch's compiler uses what Python has renamed
def test_on_a_gpu_the_passes_between_products_are_compiled() -> None:
    peft_model = adapted(model()).to("cuda", torch.bfloat16)
    run, _ = devices.operations(peft_model)
    assert run._norm is not formulas.norm


@pytest.mark.gpu
@pytest.mark.parametrize("settings", [{}, {"sliding_window": 8}], ids=["all", "window"])
def test_rows_of_any_length_at_once_are_rows_one_by_one(settings: dict[str, Any]) -> None:
    family = "mistral" if settings else "llama"
    found: list[torch.Tensor] = []
    for at_once in (False, True):
        sizes = {"hidden_size": 64, "head_dim": 16, **settings}
        peft_model = adapted(model(family, **sizes)).to("cuda", torch.bfloat16)
        torchs = Fused(torch.device("cuda"), torch.bfloat16 if at_once else torch.float32)
        network = read(peft_model, passes("torch"), recompute=False, attention=torchs)
        stream = join(ROWS, share=False, device=torch.device("cuda"))
        scores = by_network(peft_model, network.log_probs(stream).log_probs)
        found.append(scores.log_probs)
        found += scores.gradients.values()
    half = len(found) // 2
    for one, other in zip(found[:half], found[half:], strict=True):
        assert float((one - other).norm() / one.norm()) < 0.05
