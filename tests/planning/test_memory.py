"""The closed form of memory, against measurements that others published."""

from __future__ import annotations

from typing import Any

import pytest

from tests.planning.published import GB, ROWS, Row
from tests.planning.setting import (
    LLAMA2_7B,
    LLAMA_1B,
    LLAMA_3B,
    LLAMA_8B,
    QWEN_06B,
    QWEN_8B,
    SMOL,
    UNKNOWN,
)
from tunekit.models import Model
from tunekit.planning.activations import Step, kept, loss, per_layer
from tunekit.planning.memory import estimate
from tunekit.planning.shape import Shape, rank_parameters, shape
from tunekit.planning.stack import Stack, local
from tunekit.spec.methods import Full, LoRA, QLoRA

ODD = {"Unsloth QLoRA 7B", "Unsloth QLoRA 8B", "Unsloth QLoRA 14B", "Unsloth LoRA 8B"}
"""Figures that are off; the first three are below a 4-bit base with 16-bit embeddings."""


def known(model: Model) -> Shape:
    size = shape(model)
    assert size is not None
    return size


def predicted(row: Row) -> float:
    size = known(row.model)
    found = estimate(size, row.step, row.stack)
    if not row.mean:
        return found.total
    # Adam in one pass over all gradients; an adapter's are too small to matter.
    gradients = 2 * size.parameters if isinstance(row.step.method, Full) else found.gradients
    return found.weights + found.adapters + found.optimizer + gradients


@pytest.mark.parametrize("row", [row for row in ROWS if row.name not in ODD], ids=lambda r: r.name)
def test_a_published_figure_is_met_within_15_percent(row: Row) -> None:
    assert predicted(row) == pytest.approx(row.published, rel=0.15)


def test_of_all_published_figures_85_percent_are_met_within_15_percent() -> None:
    met = [abs(predicted(row) / row.published - 1) <= 0.15 for row in ROWS]
    assert len(ROWS) == 35
    assert sum(met) / len(met) >= 0.85


def test_half_of_the_published_figures_are_met_within_7_percent() -> None:
    errors = sorted(abs(predicted(row) / row.published - 1) for row in ROWS)
    assert errors[len(errors) // 2] <= 0.07


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


def test_double_quantization_saves_what_the_paper_says() -> None:
    # QLoRA, section 3: 0.373 bits per weight, about 3 GB for 65 billion.
    size = known(LLAMA2_7B)
    once, twice = (
        estimate(
            size,
            Step(QLoRA(double_quantization=double), "bfloat16", 1, rank=8, checkpointing=True),
            Stack(),
        ).total
        for double in (False, True)
    )
    assert (once - twice) * 8 / size.linear == pytest.approx(0.373, abs=0.001)


def test_full_fine_tuning_with_float32_weights_takes_the_18_bytes_of_the_rule() -> None:
    # LLaMA-Factory and ZeRO (arXiv 1910.02054) count 16 to 18 bytes for a parameter.
    found = estimate(
        known(LLAMA2_7B),
        Step(Full(), "bfloat16", 1, checkpointing=True),
        local(Full(), device="cuda", dtype="bfloat16"),
    )
    assert 16 <= (found.total - found.context) / LLAMA2_7B.parameters <= 18.1


@pytest.mark.parametrize(
    ("method", "dtype", "measured"),
    [
        # torch's saved-tensor hooks on the embedded model: 482 tokens in two joined rows.
        (LoRA(), "bfloat16", 577.0),
        (LoRA(), "float32", 658.3),
        (QLoRA(), "bfloat16", 362.8),
        (Full(), "float32", 720.6),
    ],
)
def test_the_kept_tensors_are_those_that_hooks_of_torch_find(
    method: Any, dtype: str, measured: float
) -> None:
    step = Step(method, dtype, 482, rank=16, rows=2, joined=True)
    stack = local(method, device="cpu", dtype=dtype)
    assert kept(known(SMOL), step, stack) / 1e6 == pytest.approx(measured, rel=0.01)


def test_the_loss_takes_what_the_allocator_of_torch_counted() -> None:
    # Peak less kept, profiled over the same step: 490 MB in bfloat16, 521 MB in float32.
    for dtype, measured in (("bfloat16", 490), ("float32", 521)):
        step = Step(LoRA(), dtype, 482, rows=2, joined=True)
        stack = local(LoRA(), device="cpu", dtype=dtype)
        assert loss(known(SMOL), step, stack) / 1e6 == pytest.approx(measured, rel=0.02)


def test_checkpointing_keeps_one_number_per_layer_and_channel() -> None:
    # Chen et al. 2016, arXiv 1604.06174.
    size = known(LLAMA_8B)
    step = Step(LoRA(), "bfloat16", 1000, checkpointing=True)
    assert kept(size, step, Stack()) == 2 * 4096 * 32 * 1000


def test_rows_without_padding_need_a_mask_over_all_pairs_of_tokens() -> None:
    size, stack = known(SMOL), Stack(masks=True)
    one = per_layer(size, Step(LoRA(), "bfloat16", 1000), stack)
    joined = per_layer(size, Step(LoRA(), "bfloat16", 1000, rows=4, joined=True), stack)
    padded = per_layer(size, Step(LoRA(), "bfloat16", 1000, rows=4), stack)
    assert joined - one == 2 * 1000 * 1000
    assert padded - one == 2 * 1000 * 250


def test_a_full_run_with_a_reference_holds_two_models() -> None:
    size = known(SMOL)
    alone, both = (
        estimate(size, Step(Full(), "float32", 100, reference=reference), Stack()).weights
        for reference in (False, True)
    )
    assert both == 2 * alone


def test_gradients_take_the_room_that_activations_leave() -> None:
    size = known(LLAMA_3B)
    alone, waiting = (
        estimate(size, Step(Full(), "bfloat16", 16384, accumulates=more), Stack())
        for more in (False, True)
    )
    assert waiting.gradients == 4 * LLAMA_3B.parameters
    assert alone.gradients < waiting.gradients


def test_the_parts_add_up_and_are_told() -> None:
    found = estimate(known(LLAMA_8B), Step(LoRA(), "bfloat16", 2048), Stack())
    assert found.total == pytest.approx(sum(found.parts.values()))
    assert "weights 16.06" in str(found)
    assert found.weights == pytest.approx(16.06 * GB, rel=1e-3)


def test_nothing_is_said_of_an_unknown_model() -> None:
    assert shape(UNKNOWN) is None
