"""The closed form of memory, against measurements that others published."""

from __future__ import annotations

import pytest

from tests.planning.setting import (
    LLAMA2_7B,
    LLAMA2_13B,
    LLAMA_1B,
    LLAMA_3B,
    LLAMA_8B,
    QWEN_06B,
    QWEN_8B,
    UNKNOWN,
)
from tunekit.models import Model
from tunekit.planning.memory import Shape, rank_parameters, shape, training_bytes
from tunekit.spec.methods import LoRA, QLoRA

GB, GIB = 1e9, 2**30
QV = LoRA(target_modules=("q_proj", "v_proj"))
MLP = LoRA(target_modules=("gate_proj", "up_proj", "down_proj"))


def known(model: Model) -> Shape:
    size = shape(model)
    assert size is not None
    return size


@pytest.mark.parametrize(
    ("model", "count"),
    [
        # PEFT 0.21 on the meta device, and tinker-cookbook's table.
        (LLAMA_1B, 704_512),
        (LLAMA_3B, 1_519_616),
        (LLAMA_8B, 2_621_440),
        (LLAMA2_7B, 2_498_560),
        (QWEN_06B, 630_784),
        (QWEN_8B, 2_727_936),
    ],
)
def test_an_adapter_has_the_published_size_per_rank(model: Model, count: int) -> None:
    assert rank_parameters(known(model), "all-linear") == count


def test_an_adapter_of_queries_and_values_has_the_published_size() -> None:
    # PEFT's method comparison, Llama-3.2-3B, rank 32.
    assert 32 * rank_parameters(known(LLAMA_3B), ("q_proj", "v_proj")) == 9_175_040


def test_modules_of_other_names_count_as_all() -> None:
    size = known(LLAMA_8B)
    assert rank_parameters(size, ("query_key_value",)) == rank_parameters(size, "all-linear")


@pytest.mark.parametrize(
    ("tokens", "published"),
    [(1024, 6), (2048, 7), (4096, 9), (8192, 12), (16384, 19), (32768, 32)],
)
def test_qlora_of_7b_with_checkpointing_takes_what_llama_factory_measured(
    tokens: int, published: float
) -> None:
    # LLaMA-Factory wiki, performance comparison: A100 40 GB, FlashAttention 2, rank 8.
    need = training_bytes(
        known(LLAMA2_7B),
        QLoRA(),
        rank=8,
        dtype="bfloat16",
        tokens=tokens,
        checkpointing=True,
        logits=True,
    )
    assert need / GB + 0.8 == pytest.approx(published, rel=0.12)


@pytest.mark.parametrize(
    ("model", "method", "rank", "tokens", "checkpointing", "logits", "published"),
    [
        # LLaMA-Factory: LoRA in 16 bits, 4 x 1024, less 0.8 GB that a device's counter adds.
        (LLAMA2_7B, LoRA(), 8, 4096, True, True, 16.2 * GB),
        # torchtune README: Llama-3.1-8B, LoRA, 2 x 2048, losses in portions.
        (LLAMA_8B, LoRA(), 8, 4096, True, False, 16.2 * GIB),
        # LitGPT resource tables: no checkpointing, queries and values, rank 8.
        (LLAMA2_7B, QV, 8, 1304, False, True, 21.3 * GB),
        (LLAMA2_7B, QV, 8, 2608, False, True, 29.1 * GB),
        (LLAMA2_13B, QV, 8, 1304, False, True, 38.1 * GB),
        # PEFT's method comparison, peak reserved, longest batch 4 x 768, no checkpointing.
        (LLAMA_3B, QV, 32, 3072, False, True, 20.8 * GIB),
        (LLAMA_3B, QV, 64, 3072, False, True, 21.0 * GIB),
        (LLAMA_3B, MLP, 10, 3072, False, True, 23.0 * GIB),
    ],
)
def test_lora_takes_what_others_measured(
    model: Model,
    method: LoRA,
    rank: int,
    tokens: int,
    checkpointing: bool,
    logits: bool,
    published: float,
) -> None:
    need = training_bytes(
        known(model),
        method,
        rank=rank,
        dtype="bfloat16",
        tokens=tokens,
        checkpointing=checkpointing,
        logits=logits,
    )
    assert need == pytest.approx(published, rel=0.12)


def test_double_quantization_saves_what_the_paper_says() -> None:
    # QLoRA, section 3: 0.373 bits per weight, about 3 GB for 65 billion.
    size = known(LLAMA2_7B)
    once, twice = (
        training_bytes(
            size,
            QLoRA(double_quantization=double),
            rank=8,
            dtype="bfloat16",
            tokens=1,
            checkpointing=True,
        )
        for double in (False, True)
    )
    assert (once - twice) * 8 / size.linear == pytest.approx(0.373, abs=0.001)


def test_nothing_is_said_of_an_unknown_model() -> None:
    assert shape(UNKNOWN) is None
