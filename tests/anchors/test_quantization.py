"""Four bits cost what the papers say, and an adapter over them is merged on a fresh base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit

from tests.anchors.built import logits, saved, trained
from tests.local.specs import small
from tests.tiny import tiny_model
from tunekit.adapters.adapter import Adapter

# PEFT asks transformers under a name that is going away.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def normal() -> Any:
    return torch.randn(1 << 20, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("kind", "block", "published"),
    [
        # bitsandbytes' own tests of the mean absolute error on normal numbers.
        ("nf4", 64, 0.0728),
        ("fp4", 64, 0.0965),
        ("nf4", 128, 0.0769),
        ("fp4", 128, 0.1030),
    ],
)
def test_normal_numbers_are_off_by_the_published_mean(
    kind: str, block: int, published: float
) -> None:
    numbers = normal()
    packed, state = quantize_4bit(numbers, blocksize=block, quant_type=kind)
    found = dequantize_4bit(packed, state)
    assert (found - numbers).abs().mean().item() == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize(("double", "bits"), [(False, 4.5), (True, 4.127)])
def test_a_weight_takes_the_bits_of_the_qlora_paper(double: bool, bits: float) -> None:
    # Section 3: 32 bits per 64 weights, or 8 bits per 64 and 32 per 64 x 256.
    packed, state = quantize_4bit(
        normal(), blocksize=64, quant_type="nf4", compress_statistics=double
    )
    held = packed.nbytes + state.absmax.nbytes
    if double:
        held += state.state2.absmax.nbytes
    assert 8 * held / (1 << 20) == pytest.approx(bits, abs=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_an_adapter_over_four_bits_is_merged_on_a_base_that_has_run_nowhere(
    tmp_path: Path, kind: str
) -> None:
    adapter = over(tmp_path, kind)
    # A forward pass repacks 4-bit weights on a CPU; whoever merges into them then gets garbage.
    over_four_bits = four_bits(tmp_path / "model", kind, adapter)
    logits(over_four_bits)

    merged = Adapter.open(adapter.merge(tmp_path / "merged"))

    wanted = logits(adapter.load(dtype="float32"))
    assert off(logits(merged.load()), wanted) <= 1e-5


@pytest.mark.slow
def test_dequantised_afresh_and_merged_a_model_is_that_over_four_bits(tmp_path: Path) -> None:
    adapter = over(tmp_path, "nf4")
    apart = logits(four_bits(tmp_path / "model", "nf4", adapter))

    fresh = attached(quantized(tmp_path / "model", "nf4").dequantize(), adapter)

    assert off(logits(fresh.merge_and_unload()), apart) <= 2e-2


def over(folder: Path, kind: str) -> Adapter:
    """Train an adapter over a base of four bits; its layers hold whole blocks of 64 weights."""
    tiny_model(folder / "model", hidden=128)
    method = {"type": "qlora", "rank": 4, "quantization": kind}
    spec = small(folder, method=method, training={"max_steps": 5, "learning_rate": 5e-3})
    return saved(trained(spec, folder / "job"), folder)


def off(found: Any, wanted: Any) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


def quantized(folder: Path, kind: str) -> Any:
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=kind,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, quantization_config=config, device_map={"": "cpu"}
    )


def attached(base: Any, adapter: Adapter) -> Any:
    from peft import PeftModel

    return PeftModel.from_pretrained(base, adapter.folder)


def four_bits(folder: Path, kind: str, adapter: Adapter) -> Any:
    return attached(quantized(folder, kind), adapter)
