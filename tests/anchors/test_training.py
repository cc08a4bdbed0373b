"""A step is the same step however its rows are laid out, and a seed gives one run."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.anchors.built import learnt, trained, trainer
from tests.local.specs import chats, small

STEPS = {"max_steps": 3}


def same(left: Any, right: Any) -> bool:
    ours, theirs = learnt(left.model), learnt(right.model)
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_seed_gives_one_run_and_another_seed_another(tmp_path: Path) -> None:
    method = {"type": "lora", "rank": 4, "dropout": 0.1}
    runs = [
        trained(
            small(tmp_path, method=method, training={**STEPS, "seed": seed}), tmp_path / f"{number}"
        )
        for number, seed in enumerate((1, 1, 2))
    ]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_k_portions_of_b_rows_are_one_step_of_k_times_b_rows(tmp_path: Path) -> None:
    # The rows differ in length, so that a mean of means would be another step: tokens are weighed.
    spec = small(tmp_path, data=chats(16, longest=40), training={"max_steps": 2, "batch_size": 8})
    portions = {
        f"{size}x{8 // size}": {
            "per_device_train_batch_size": size,
            "gradient_accumulation_steps": 8 // size,
        }
        for size in (8, 2, 1)
    }
    runs = {
        name: trained(spec, tmp_path / name, optim="sgd", learning_rate=1.0, **portion)
        for name, portion in portions.items()
    }
    whole = learnt(runs["8x1"].model)
    moved = max(weight.abs().max() for name, weight in whole.items() if "lora_B" in name)
    assert moved > 1e-3
    for name in ("2x4", "1x8"):
        found = learnt(runs[name].model)
        assert max((found[key] - whole[key]).abs().max() for key in whole) <= 1e-5 * moved


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_row_is_the_same_alone_and_among_packed_ones(tmp_path: Path, attention: str) -> None:
    training = {"packing": True, "max_length": 256, "batch_size": 1}
    built = trainer(small(tmp_path, training=training), tmp_path / "job")
    model = built.model
    model.set_attn_implementation(attention)
    model.eval()
    batch = next(iter(built.get_train_dataloader()))
    ids, places = batch["input_ids"], batch["position_ids"]
    with torch.no_grad():
        packed = model(input_ids=ids, position_ids=places, use_cache=False).logits[0]
    starts = [*torch.nonzero(places[0] == 0).flatten().tolist(), ids.shape[1]]
    assert len(starts) > 3
    for first, last in itertools.pairwise(starts):
        with torch.no_grad():
            alone = model(input_ids=ids[:, first:last], use_cache=False).logits[0]
        assert (packed[first:last] - alone).abs().max() <= 1e-6 * alone.abs().max()


def test_the_loss_in_pieces_is_the_loss_over_all_logits(tmp_path: Path) -> None:
    built = trainer(small(tmp_path, data=chats(8, longest=60)), tmp_path / "job")
    model = built.model
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1, generator=torch.Generator().manual_seed(len(name)))
    batch = next(iter(built.get_train_dataloader()))
    model.train()

    pieces = built.compute_loss(model, dict(batch))
    pieces.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    labels = batch.pop("labels")
    logits = model(**batch, use_cache=False).logits.float()
    whole = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
    )
    whole.backward()

    assert pieces.item() == pytest.approx(whole.item(), abs=1e-6)
    assert found
    for name, p in model.named_parameters():
        if p.grad is not None:
            assert (found[name] - p.grad).abs().max() <= 1e-6
