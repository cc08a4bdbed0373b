"""Memory that others measured or published, and how the software they used held things.

The stacks are stated from the software itself, not fitted: what PEFT, torchtune and LitGPT keep an
adapter in, whether the loss holds all logits, what a counter counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.planning.setting import LLAMA2_7B, LLAMA2_13B, LLAMA_3B, LLAMA_8B, a_model
from tunekit.models import Model
from tunekit.planning.activations import Method, Step
from tunekit.planning.stack import Stack
from tunekit.spec.methods import Full, LoRA, QLoRA

GB, GIB = 1e9, float(2**30)
QWEN_7B = a_model(3584, 28, 28, 4, 18944, 152064, 7_615_616_512, family="qwen2")
QWEN_14B = a_model(5120, 48, 40, 8, 13824, 152064, 14_770_033_664, family="qwen2")
QWEN_32B = a_model(5120, 64, 40, 8, 27648, 152064, 32_763_876_352, family="qwen2")
LLAMA_70B = a_model(8192, 80, 64, 8, 28672, 128256, 70_553_706_496)
QV = ("q_proj", "v_proj")
MLP = ("gate_proj", "up_proj", "down_proj")

FACTORY = Stack(whole_logits=True, wide_embeddings=True)
"""LLaMA-Factory: PEFT prepared for k bits, FlashAttention 2, logits of all tokens, nvidia-smi."""
TORCHTUNE = Stack(adapter=2, moments=4, context=0)
"""torchtune: everything bfloat16, the loss in portions; counts what torch has allocated."""
LITGPT = Stack(adapter=2, moments=4, whole_logits=True, keeps_inputs=True, context=0)
"""LitGPT, `bf16-true`, bitsandbytes 0.41.1 (its 4-bit layers kept their inputs: PR 1270)."""
PEFT = Stack(autocast=False, master=2, whole_logits=True, context=0)
"""PEFT's method comparison: float32 adapters over bfloat16, no autocast, counted by torch."""
PEFT_FULL = Stack(autocast=False, master=2, moments=4, whole_logits=True, context=0)
UNSLOTH = Stack(moments=2)
"""Unsloth: 8-bit Adam, loss in portions; "minimum VRAM" in whole or half GB."""


@dataclass(frozen=True)
class Row:
    """A published figure and what it was taken of."""

    name: str
    model: Model
    step: Step
    stack: Stack
    published: float
    """Bytes."""
    mean: bool = False
    """The mean over time, which is the states without what a step keeps."""


def _step(method: Method, tokens: int, *, rank: int = 16, checkpointing: bool = False) -> Step:
    return Step(method, "bfloat16", tokens, rank=rank, checkpointing=checkpointing)


def _factory() -> list[Row]:
    """LLaMA-Factory wiki, performance comparison: Llama-2-7B, A100 40 GB, rank 8."""
    measured = {1024: 6, 2048: 7, 4096: 9, 8192: 12, 16384: 19, 32768: 32}
    rows = [
        Row(
            f"LLaMA-Factory QLoRA {tokens}",
            LLAMA2_7B,
            _step(QLoRA(), tokens, rank=8, checkpointing=True),
            FACTORY,
            number * GB,
        )
        for tokens, number in measured.items()
    ]
    lora = _step(LoRA(), 4096, rank=8, checkpointing=True)
    return [*rows, Row("LLaMA-Factory LoRA 4 x 1024", LLAMA2_7B, lora, FACTORY, 17 * GB)]


def _torchtune() -> list[Row]:
    """torchtune README: Llama-3.1-8B, 2 x 2048."""
    return [
        Row(
            f"torchtune {type(method).__name__}",
            LLAMA_8B,
            _step(method, 4096, rank=8, checkpointing=True),
            TORCHTUNE,
            number * GIB,
        )
        for method, number in ((LoRA(), 16.2), (QLoRA(), 7.4))
    ]


def _litgpt() -> list[Row]:
    """LitGPT resource tables, 20 October 2023: A100, queries and values, rank 8, dropout 0.05."""
    plain = LoRA(target_modules=QV, dropout=0.05)
    once, twice = (
        QLoRA(target_modules=QV, dropout=0.05, double_quantization=double)
        for double in (False, True)
    )
    cells: list[tuple[str, Model, Method, int, float]] = [
        ("7B", LLAMA2_7B, plain, 1304, 21.30),
        ("7B, batch 2", LLAMA2_7B, plain, 2608, 29.07),
        ("13B", LLAMA2_13B, plain, 1304, 38.12),
        ("7B nf4", LLAMA2_7B, once, 1304, 14.14),
        ("7B nf4-dq", LLAMA2_7B, twice, 1304, 13.84),
        ("13B nf4", LLAMA2_13B, once, 1304, 23.14),
        ("13B nf4-dq", LLAMA2_13B, twice, 1304, 22.55),
    ]
    return [
        Row(f"LitGPT {name}", model, _step(method, tokens, rank=8), LITGPT, number * GB)
        for name, model, method, tokens, number in cells
    ]


def _peft() -> list[Row]:
    """PEFT's method comparison on MetaMathQA: Llama-3.2-3B, L40S; longest batch 4 x 768."""
    cells: list[tuple[str, Method, int, float | None, float]] = [
        ("full", Full(), 0, 24.3, 36.2),
        ("q, v of rank 32", LoRA(target_modules=QV), 32, 6.45, 20.8),
        ("q, v of rank 64", LoRA(target_modules=QV), 64, 6.58, 21.0),
        ("MLP of rank 10", LoRA(target_modules=MLP), 10, None, 23.0),
    ]
    rows: list[Row] = []
    for name, method, rank, mean, peak in cells:
        stack = PEFT_FULL if isinstance(method, Full) else PEFT
        step = _step(method, 3072, rank=rank)
        rows.append(Row(f"PEFT peak, {name}", LLAMA_3B, step, stack, peak * GIB))
        if mean is not None:
            rows.append(Row(f"PEFT mean, {name}", LLAMA_3B, step, stack, mean * GIB, mean=True))
    return rows


def _unsloth() -> list[Row]:
    """Unsloth documentation, requirements; no length is given: 1024, and the models are taken."""
    cells = (
        ("3B", LLAMA_3B, 3.5, 8),
        ("7B", QWEN_7B, 5, 19),
        ("8B", LLAMA_8B, 6, 22),
        ("14B", QWEN_14B, 8.5, 33),
        ("32B", QWEN_32B, 26, 76),
        ("70B", LLAMA_70B, 41, 164),
    )
    return [
        Row(
            f"Unsloth {type(method).__name__} {name}",
            model,
            _step(method, 1024, checkpointing=True),
            UNSLOTH,
            number * GB,
        )
        for name, model, four, sixteen in cells
        for method, number in ((QLoRA(), four), (LoRA(), sixteen))
    ]


ROWS = [*_factory(), *_torchtune(), *_litgpt(), *_peft(), *_unsloth()]
