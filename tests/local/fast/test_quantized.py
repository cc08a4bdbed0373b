"""Over a quantised base the gradients are those over the weights that the codes stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests.local.fast.tiny import adapted, by_autograd, by_network, model, passes, some_rows, worst
from tunekit.backends.local.fast import weights
from tunekit.backends.local.fast.native import Native
from tunekit.backends.local.fast.reading import read
from tunekit.backends.local.fast.stream import join
from tunekit.backends.local.models import _keep_trainable

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:MatMul8bitLt"),
]
ROWS = some_rows([23, 9, 31, 17], alike=18)
FOUR_BITS = {"load_in_4bit": True, "bnb_4bit_compute_dtype": torch.float32}


def quantized(folder: Path, config: dict[str, Any], *, width: int = 64) -> Any:
    model("qwen2", hidden_size=width, intermediate_size=128, head_dim=16).save_pretrained(folder)
    loaded = AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=BitsAndBytesConfig(**config), device_map={"": "cpu"}
    )
    _keep_trainable(loaded)
    return loaded


@pytest.mark.parametrize("run", ["torch", "native"])
@pytest.mark.parametrize(
    ("kind", "twice", "held"),
    [("nf4", False, 0), ("nf4", True, 1 << 30), ("fp4", True, 0)],
    ids=["nf4, none held", "nf4 twice, all held", "fp4 twice, none held"],
)
@pytest.mark.parametrize("width", [64, 48])
def test_four_bits_are_unpacked_as_bitsandbytes_does(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: str,
    kind: str,
    twice: bool,
    held: int,
    width: int,
) -> None:
    settings = {"bnb_4bit_quant_type": kind, "bnb_4bit_use_double_quant": twice}
    peft_model = adapted(quantized(tmp_path, {**FOUR_BITS, **settings}, width=width))
    expected = by_autograd(peft_model, ROWS)
    network = read(peft_model, passes(run), recompute=False)
    monkeypatch.setattr(network.shelf, "most", held)
    for _ in range(2):  # the second pass finds what the first has left
        found = by_network(peft_model, network.log_probs(join(ROWS, share=True)).log_probs)
        torch.testing.assert_close(found.log_probs, expected.log_probs, rtol=2e-5, atol=2e-5)
        assert worst(found, expected) < 2e-5


@pytest.mark.parametrize("shape", [(8, 64), (64, 96), (7, 10), (128, 256)], ids=str)
def test_a_code_stands_for_its_number_times_the_scale_of_its_block(shape: tuple[int, int]) -> None:
    # bitsandbytes 0.50 takes wrong scales on a CPU where blocks of 64 do not end with the rows.
    from bitsandbytes.functional import quantize_4bit

    generator = torch.Generator().manual_seed(1)
    packed, state = quantize_4bit(
        torch.randn(*shape, generator=generator), quant_type="nf4", compress_statistics=False
    )
    halves = torch.stack([packed.flatten() >> 4, packed.flatten() & 15], 1).flatten().long()
    scales = state.absmax.repeat_interleave(state.blocksize)[: halves.numel()]
    expected = (state.code[halves[: scales.numel()]] * scales).view(shape)

    out = torch.zeros(shape[0], shape[1] + 3)
    run = Native(torch.float32)
    run.unpack(packed, state.code.float(), state.absmax.float(), state.blocksize, out[:, :-3])
    assert torch.equal(out[:, :-3], expected)
    assert not out[:, -3:].any()


def test_eight_bits_are_whole_numbers_times_the_scale_of_their_row(tmp_path: Path) -> None:
    peft_model = adapted(quantized(tmp_path, {"load_in_8bit": True}))
    network = read(peft_model, passes("torch"), recompute=False)
    found = by_network(peft_model, network.log_probs(join(ROWS, share=True)).log_probs)

    plain = adapted(model("qwen2", hidden_size=64, intermediate_size=128, head_dim=16))
    _unpack_into(plain, peft_model)
    expected = by_autograd(plain, ROWS)
    torch.testing.assert_close(found.log_probs, expected.log_probs, rtol=2e-5, atol=2e-5)
    assert worst(found, expected) < 2e-5
    # bitsandbytes rounds the inputs too, to 8 bits: the same but for that.
    rounded = by_autograd(peft_model, ROWS)
    torch.testing.assert_close(found.log_probs, rounded.log_probs, rtol=0, atol=0.2)


def _unpack_into(plain: Any, peft_model: Any) -> None:
    """Give a plain model the weights that the codes of another stand for."""
    from bitsandbytes.functional import int8_vectorwise_dequant

    modules = dict(peft_model.named_modules())
    with torch.no_grad():
        for name, module in plain.named_modules():
            other = modules[name]
            if type(module) is not torch.nn.Linear:
                continue
            if type(other).__name__ == "Linear8bitLt":
                module.weight.copy_(int8_vectorwise_dequant(other.weight.CB, other.weight.SCB))
            else:
                module.weight.copy_(other.weight)


def test_a_shelf_holds_the_last_ones_up_to_its_size() -> None:
    like = torch.zeros(1)
    shelf = weights.Shelf(3 * 4 * 4)
    owners: list[Any] = [object() for _ in range(5)]
    for owner in owners:
        shelf.room(owner, (2, 2), like)
    assert [shelf.take(owner) is not None for owner in owners] == [False, False, True, True, True]
    shelf.clear()
    assert shelf.take(owners[-1]) is None
