"""A pass over the rows of several tenants gives each what it would get alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tests.local.fast.tiny import (
    FAMILIES,
    Found,
    adapted,
    by_autograd,
    model,
    padded,
    passes,
    some_rows,
    weights,
    worst,
)
from tunekit.backends.local.fast.linear import Adapter, Layer, Masks
from tunekit.backends.local.fast.mixed import Asked, Mixed
from tunekit.backends.local.fast.reading import read
from tunekit.backends.local.fast.stream import IGNORED, join
from tunekit.backends.local.fast.tenants import Share, TenantGroup
from tunekit.backends.local.fast.weights import Dense

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

ROWS = [
    some_rows([23, 9, 31, 17], alike=18),
    some_rows([5, 40], seed=3),
    some_rows([12, 12, 30], seed=4, alike=17),
]
ADAPTERS: list[dict[str, Any]] = [
    {"r": 3},
    {"r": 20, "lora_alpha": 10, "target_modules": ["q_proj", "down_proj"]},
    {"r": 5, "use_rslora": True, "target_modules": ["v_proj", "o_proj", "up_proj"]},
]


def tenants(family: str = "llama", **settings: Any) -> list[Any]:
    """Put three adapters on copies of a model that hold the same weights."""
    base = model(family)
    held = {id(tensor): tensor for tensor in (*base.parameters(), *base.buffers())}
    return [
        adapted(copy.deepcopy(base, dict(held)), seed=n, **{**own, **settings})
        for n, own in enumerate(ADAPTERS)
    ]


def mixed_gradients(
    models: Sequence[Any], mixed: Mixed, *, share: bool = True, seeds: bool = False
) -> list[Found]:
    """Score and differentiate the rows of all tenants in one pass, in another order."""
    order = [2, 0, 1]
    asked = [Asked(n, join(ROWS[n], share=share), Masks(7 + n) if seeds else None) for n in order]
    for each in models:
        each.zero_grad()
    joint = mixed.together(asked)
    scores = [one.log_probs for one in joint.scores()]
    for one in scores:
        (one * weights(len(one))).sum().backward()
    joint.backward([one.grad for one in scores])
    return [found(models[n], scores[order.index(n)]) for n in range(len(models))]


def found(peft_model: Any, log_probs: torch.Tensor) -> Found:
    weights = peft_model.named_parameters()
    gradients = {name: w.grad.clone() for name, w in weights if w.grad is not None}
    return Found(log_probs.detach(), gradients)


@pytest.mark.parametrize("run", ["torch", "native"])
@pytest.mark.parametrize("family", FAMILIES)
def test_each_tenant_has_the_gradients_of_autograd(family: str, run: str) -> None:
    windowed = "window" in family or family == "gemma3"
    models = tenants(family)
    expected = [by_autograd(each, rows) for each, rows in zip(models, ROWS, strict=True)]
    mixed = Mixed(models, passes(run), recompute=False)
    for one, other in zip(
        mixed_gradients(models, mixed, share=not windowed), expected, strict=True
    ):
        torch.testing.assert_close(one.log_probs, other.log_probs, rtol=2e-5, atol=2e-5)
        assert worst(one, other) < 2e-5


def test_recomputed_layers_make_no_difference() -> None:
    models = tenants()
    expected = [by_autograd(each, rows) for each, rows in zip(models, ROWS, strict=True)]
    mixed = Mixed(models, passes(), recompute=True)
    for one, other in zip(mixed_gradients(models, mixed), expected, strict=True):
        assert worst(one, other) < 2e-5


def test_dropout_falls_where_it_falls_alone() -> None:
    alone: list[Found] = []
    for n, each in enumerate(tenants(lora_dropout=0.3)):
        network = read(each, passes(), recompute=False)
        this = network.begin(join(ROWS[n], share=False), masks=Masks(7 + n))
        network.refresh(network.copies)
        log_probs = network.scores(this, network.parameters).log_probs
        each.zero_grad()
        (log_probs * weights(len(log_probs))).sum().backward()
        alone.append(found(each, log_probs))
    models = tenants(lora_dropout=0.3)
    mixed = Mixed(models, passes(), recompute=False)
    assert all(mixed.drops(n) for n in range(3))
    for one, other in zip(
        mixed_gradients(models, mixed, share=False, seeds=True), alone, strict=True
    ):
        torch.testing.assert_close(one.log_probs, other.log_probs, rtol=2e-5, atol=2e-5)
        assert worst(one, other) < 2e-5


def test_what_is_not_finite_in_one_tenant_stays_there() -> None:
    models = tenants()
    expected = [by_autograd(each, rows) for each, rows in zip(models, ROWS, strict=True)]
    mixed = Mixed(models, passes(), recompute=False)
    with torch.no_grad():
        for weight in mixed.parameters(0):
            weight.fill_(1e13)
    assert [mixed.finite(n) for n in range(3)] == [True] * 3
    results = mixed_gradients(models, mixed)
    assert not results[0].log_probs.isfinite().all()
    for one, other in zip(results[1:], expected[1:], strict=True):
        assert worst(one, other) < 2e-5


def test_adapters_that_are_not_finite_are_told_apart() -> None:
    mixed = Mixed(tenants(), passes(), recompute=False)
    with torch.no_grad():
        mixed.parameters(0)[1].fill_(torch.nan)
        mixed.parameters(2)[0].fill_(torch.inf)
    assert [mixed.finite(n) for n in range(3)] == [False, True, False]


def test_in_bfloat16_an_update_that_is_small_is_not_lost() -> None:
    draw = torch.Generator().manual_seed(1)
    frozen, x = (torch.randn(size, 64, generator=draw).bfloat16() for size in (96, 512))
    adapters = [
        Adapter(torch.randn(4, 64, generator=draw), 5e-4 * torch.randn(96, 4, generator=draw), 1.0)
        for _ in range(2)
    ]
    layers = [[Layer(96, adapter)] for adapter in adapters]
    base = Dense([torch.nn.Parameter(frozen)], 2 * 16)
    group = TenantGroup(base, layers, None, number=0, run=passes("torch"))
    for tenant in range(2):
        for into, source, scale in group.copies_of(tenant, tenant):
            into.copy_(source * scale)
    shares = [Share(0, 0, slice(0, 256)), Share(1, 1, slice(256, 512))]
    wide = torch.cat([x, x.new_empty(512, group.extra)], 1)
    y = group.forward(wide, adapted=True, room=0, masks=shares).double()
    for adapter, share in zip(adapters, shares, strict=True):
        rows = x[share.rows].double()
        update = rows @ adapter.a.double().t() @ adapter.b.double().t()
        plain = rows @ base.matrix()[:96, :64].double().t()
        assert update.abs().mean() < plain.abs().mean() / 500
        # How much of the update is in the product, in the mean over all rounding.
        there = ((y[share.rows] - plain) * update).sum() / update.square().sum()
        assert abs(there - 1) < 0.1


def test_gradients_add_up_and_a_tenant_without_a_loss_has_none() -> None:
    models = tenants()
    mixed = Mixed(models, passes(), recompute=False)
    once = mixed_gradients(models, mixed)[1].gradients
    asked = [Asked(n, join(rows, share=True)) for n, rows in enumerate(ROWS)]
    models[0].zero_grad()
    joint = mixed.together(asked)
    joint.backward([None, weights(asked[1].stream.targets.shape[0]), None])
    assert all(weight.grad is None for weight in mixed.parameters(0))
    for name, weight in models[1].named_parameters():
        if name in once:
            torch.testing.assert_close(weight.grad, 2 * once[name], rtol=2e-5, atol=2e-5)


def test_alone_a_tenant_is_scored_by_the_same_passes() -> None:
    models = tenants()
    expected = by_autograd(models[1], ROWS[1])
    with models[1].disable_adapter():
        base = by_autograd_scores(models[1])
    mixed = Mixed(models, passes(), recompute=False)
    asked = Asked(1, join(ROWS[1], share=True))
    scores = mixed.alone(asked).log_probs
    models[1].zero_grad()
    (scores * weights(len(scores))).sum().backward()
    assert worst(found(models[1], scores), expected) < 2e-5
    without = mixed.reference(asked).log_probs
    torch.testing.assert_close(without, base, rtol=2e-5, atol=2e-5)


def by_autograd_scores(peft_model: Any) -> torch.Tensor:
    batch = padded(ROWS[1])
    labels = batch.pop("labels")[:, 1:]
    with torch.no_grad():
        logits = peft_model(**batch, use_cache=False).logits[:, :-1]
    counted = labels != IGNORED
    chosen = torch.log_softmax(logits, -1)[counted].gather(-1, labels[counted][:, None])
    return chosen.squeeze(-1)
