"""Operations per token, and what share of a device's peak they get, beside published figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.published import LLAMA_70B
from tests.planning.setting import CPU, H100, LLAMA2_7B, LLAMA_3B, LLAMA_8B, SMOL
from tunekit.planning.flops import per_token
from tunekit.planning.machine import Machine
from tunekit.planning.shape import Shape, shape
from tunekit.planning.speed import CARDS, Passes, expect
from tunekit.spec.methods import Full, LoRA, QLoRA


def known(model: object) -> Shape:
    size = shape(model)  # type: ignore[arg-type]
    assert size is not None
    return size


def test_training_every_weight_costs_six_operations_each() -> None:
    # Kaplan et al. 2020: 6N, N without the embeddings that are only looked up.
    size = known(LLAMA_8B)
    count = per_token(size, Full(), rank=0, length=0)
    assert count == 6 * (LLAMA_8B.parameters - 128256 * 4096)  # type: ignore[operator]


def test_an_adapter_of_70b_costs_what_nemo_counts() -> None:
    # NeMo Automodel, performance summary: 176 TFLOP/s at 608 tokens/s on a GPU, length 4096.
    count = per_token(known(LLAMA_70B), LoRA(), rank=16, length=4096)
    assert count == pytest.approx(176e12 / 608, rel=0.05)


def test_an_adapter_costs_two_thirds_of_training_every_weight() -> None:
    # Schulman 2025, LoRA Without Regret.
    size = known(LLAMA_8B)
    lora, full = (per_token(size, method, rank=16, length=0) for method in (LoRA(), Full()))
    assert lora / full == pytest.approx(2 / 3, rel=0.02)


def test_attention_costs_what_palm_counts_halved_by_the_causal_mask() -> None:
    # Chowdhery et al. 2022, appendix B: 12 x layers x width x length.
    size = known(LLAMA2_7B)
    short, long = (per_token(size, Full(), rank=0, length=length) for length in (0, 4096))
    assert long - short == 12 * 32 * 4096 * 4096 / 2


def test_checkpointing_and_a_reference_repeat_the_forward_pass() -> None:
    size = known(LLAMA_8B)
    plain = per_token(size, LoRA(), rank=16, length=1000)
    again = per_token(size, LoRA(), rank=16, length=1000, checkpointing=True)
    twice = per_token(size, LoRA(), rank=16, length=1000, checkpointing=True, reference=True)
    assert again - plain == twice - again == pytest.approx(plain / 2, rel=0.02)


@pytest.mark.parametrize(
    ("card", "model", "method", "checkpointing", "length", "passes", "tokens_per_second"),
    [
        # LLaMA-Factory's wiki: A100, Llama-2-7B, 4 x 1024, TRL and Unsloth.
        ("A100", LLAMA2_7B, LoRA(), True, 1024, "reference", 2954),
        ("A100", LLAMA2_7B, QLoRA(), True, 1024, "reference", 2415),
        ("A100", LLAMA2_7B, LoRA(), True, 1024, "unsloth", 4007),
        # PEFT's method comparison: L40S, Llama-3.2-3B.
        (
            "L40S",
            LLAMA_3B,
            LoRA(target_modules=("q_proj", "v_proj")),
            False,
            210,
            "reference",
            7237,
        ),
    ],
)
def test_published_throughputs_lie_within_a_factor_of_two(
    card: str,
    model: object,
    method: LoRA | QLoRA,
    checkpointing: bool,
    length: int,
    passes: Passes,
    tokens_per_second: float,
) -> None:
    each = per_token(known(model), method, rank=8, length=length, checkpointing=checkpointing)
    machine = Machine("cuda", 1, 8, 0, True, f"1 CUDA device: NVIDIA {card}-SXM4")
    speed = expect(
        machine, dtype="bfloat16", tokens=4096, quantized=isinstance(method, QLoRA), passes=passes
    )
    assert 0.5 <= speed.useful / each / tokens_per_second <= 2


def test_two_devices_compute_twice_as_much() -> None:
    one = expect(H100, dtype="bfloat16", tokens=8192, quantized=False)
    two = expect(replace(H100, devices=2), dtype="bfloat16", tokens=8192, quantized=False)
    assert two.useful == 2 * one.useful
    assert "H100" in one.reason


def test_a_small_step_leaves_a_gpu_waiting() -> None:
    large, small = (
        expect(H100, dtype="bfloat16", tokens=tokens, quantized=False).share
        for tokens in (8192, 500)
    )
    assert small < large


@pytest.mark.parametrize(
    ("dtype", "passes", "tokens_per_second"),
    [
        # docs/benchmarks.md, on days when the machine had all of its speed and half of it.
        ("bfloat16", "own", 941),
        ("bfloat16", "own", 456),
        ("bfloat16", "reference", 302),
        ("float32", "own", 279),
    ],
)
def test_our_own_benchmarks_lie_within_a_factor_of_two(
    dtype: str, passes: Passes, tokens_per_second: float
) -> None:
    each = per_token(known(SMOL), LoRA(), rank=16, length=260)
    machine = replace(CPU, threads=2, bf16=dtype == "bfloat16")
    speed = expect(machine, dtype=dtype, tokens=1024, quantized=False, passes=passes)
    assert 0.5 <= speed.useful / each / tokens_per_second <= 2


def test_a_processor_computes_by_its_threads() -> None:
    one, two = (
        expect(replace(CPU, threads=threads), dtype="float32", tokens=512, quantized=False)
        for threads in (1, 2)
    )
    assert two.useful == 2 * one.useful
    assert "2 threads, float32" in two.reason


def test_a_gpu_of_another_name_is_said_to_be_unknown() -> None:
    machine = Machine("cuda", 1, 8, 0, True, "1 CUDA device: Acme 9000")
    assert (
        "not in our table" in expect(machine, dtype="bfloat16", tokens=8192, quantized=False).reason
    )


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_found_by_its_name_alone(name: str) -> None:
    machine = Machine("cuda", 1, 8, 0, True, f"1 CUDA device: NVIDIA {name} 24GB")
    speed = expect(machine, dtype="bfloat16", tokens=8192, quantized=False)
    assert speed.peak == CARDS[name][0]
