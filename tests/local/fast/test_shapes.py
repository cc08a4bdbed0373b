"""Whatever the shape of model, adapter and batch: the gradients are those of autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.local.fast.tiny import adapted, by_autograd, by_network, model, passes, some_rows, worst
from tunekit.backends.local.fast.reading import read
from tunekit.backends.local.fast.stream import join

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@st.composite
def models(draw: st.DrawFn) -> dict[str, Any]:
    groups, share = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return {
        "family": draw(st.sampled_from(["llama", "qwen2", "qwen3", "gemma"])),
        "num_key_value_heads": groups,
        "num_attention_heads": groups * share,
        "head_dim": 2 * draw(st.integers(1, 8)),
        # The gradient through a norm of one or two numbers is a difference of two terms that
        # nearly cancel: what float32 leaves of it depends on the order of operations, and the
        # compiled pass, which fuses them, then differs by up to 1 % of it.
        "hidden_size": groups * share * draw(st.integers(8, 12)),
        "intermediate_size": draw(st.integers(4, 40)),
        "num_hidden_layers": draw(st.integers(1, 3)),
        "tie_word_embeddings": draw(st.booleans()),
    }


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    models(),
    st.lists(st.sampled_from(TARGETS), min_size=1, unique=True),
    st.integers(1, 20),
    st.lists(st.integers(2, 50), min_size=1, max_size=5),
    st.integers(0, 30),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1000),
)
def test_gradients(
    sizes: dict[str, Any],
    targets: list[str],
    rank: int,
    lengths: list[int],
    alike: int,
    share: bool,
    recompute: bool,
    seed: int,
) -> None:
    peft_model = adapted(model(seed=seed, **sizes), target_modules=targets, r=rank)
    batch = [row for row in some_rows(lengths, seed=seed, alike=alike) if row.needed]
    if not batch:
        return
    expected = by_autograd(peft_model, batch)
    network = read(peft_model, passes(), recompute=recompute)
    found = by_network(peft_model, network.log_probs(join(batch, share=share)).log_probs)
    torch.testing.assert_close(found.log_probs, expected.log_probs, rtol=2e-5, atol=2e-5)
    assert worst(found, expected) < 2e-5
