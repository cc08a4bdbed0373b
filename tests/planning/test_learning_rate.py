"""A rate is shown with the alpha that it acts through, and sought only where it can be found."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.planning.setting import H100, LLAMA_8B, rows
from tunekit.backends.fireworks.backend import Fireworks
from tunekit.backends.local.parent import Local
from tunekit.backends.together.backend import Together
from tunekit.errors import UnsupportedError
from tunekit.planning.plan import Plan
from tunekit.spec.finetune import FineTune

LOCAL = Local(machine=H100, engine="peft")
TOGETHER, FIREWORKS = Together(), Fireworks(account_id="acme")
MANAGED = [TOGETHER, FIREWORKS]


def planned(backend: Any, data: Any = None, **fields: Any) -> Plan:
    spec = FineTune(model="acme/model", data="rows.jsonl", **fields)
    plan: Plan = backend.plan(spec, LLAMA_8B, data or rows())
    return plan


def effective(plan: Plan) -> float | None:
    found = [each.value for each in plan.estimates if each.name == "effective rate"]
    return found[0] if found else None


def refused(plan: Plan) -> dict[str, str]:
    return {change.field: change.reason for change in plan.unsupported}


@pytest.mark.parametrize(
    ("rank", "alpha", "published", "rate"),
    [
        # artidoro/qlora at 7 billion; PEFT's comparison, MLP only and rank 64.
        (64, 16.0, 1.0e-4, 2e-4),
        (10, 20.0, 6.25e-5, 1e-4),
        (64, 128.0, 4e-4, 1e-4),
    ],
)
def test_published_settings_come_to_comparable_rates(
    rank: int, alpha: float, published: float, rate: float
) -> None:
    method = {"type": "lora", "rank": rank, "alpha": alpha}
    plan = planned(LOCAL, method=method, training={"learning_rate": rate})
    assert effective(plan) == pytest.approx(published, rel=0.02)


def test_rslora_acts_by_the_root_of_its_rank() -> None:
    # PEFT's comparison: rank 64, alpha 64, 1e-4 acts as 1.6e-3, and forgets accordingly.
    method = {"type": "lora", "rank": 64, "alpha": 64.0, "use_rslora": True}
    plan = planned(LOCAL, method=method, training={"learning_rate": 1e-4})
    assert effective(plan) == pytest.approx(1e-4 * 64 * math.sqrt(64) / 32, rel=0.02)


@pytest.mark.parametrize("alpha", [16.0, 32.0, 64.0])
@pytest.mark.parametrize("backend", [LOCAL, TOGETHER], ids=["local", "together"])
def test_an_automatic_rate_is_worth_the_same_at_every_alpha(backend: Any, alpha: float) -> None:
    method = {"type": "lora", "rank": 16, "alpha": alpha}
    usual = effective(planned(backend, method={"type": "lora", "rank": 16}))
    assert usual is not None
    assert effective(planned(backend, method=method)) == pytest.approx(usual, rel=0.06)


def test_nothing_is_claimed_of_an_alpha_that_fireworks_sets() -> None:
    plan = planned(FIREWORKS)
    assert effective(plan) is None
    assert (
        planned(FIREWORKS, method={"type": "lora", "alpha": 128.0}).request["body"]["learningRate"]
        == plan.request["body"]["learningRate"]
    )


@pytest.mark.parametrize("method", ["full", "ia3", "prefix"])
def test_a_method_without_alpha_has_no_effective_rate(method: str) -> None:
    assert effective(planned(LOCAL, method=method)) is None


def test_a_sweep_is_planned_with_its_rates_and_steps() -> None:
    training = {"learning_rate": "sweep", "max_steps": 200}
    plan = planned(LOCAL, training=training)
    middle = plan.request["trainer"]["learning_rate"]
    assert plan.request["sweep"]["rates"] == pytest.approx(
        [middle / 3, middle, 3 * middle], rel=0.1
    )
    assert plan.request["sweep"]["steps"] == 20
    told = [change for change in plan.changes if change.asked == "sweep"]
    assert {change.outcome for change in told} == {"auto", "adapted"}
    assert "50 held-out rows" in told[0].reason + told[-1].reason
    assert "sweep" not in planned(LOCAL).request


def test_a_short_run_of_a_sweep_has_five_steps_at_least() -> None:
    training = {"learning_rate": "sweep", "max_steps": 20}
    assert planned(LOCAL, training=training).request["sweep"]["steps"] == 5


def test_a_sweep_without_held_out_rows_is_refused() -> None:
    data = rows().model_copy(update={"validation_rows": 0})
    plan = planned(LOCAL, data, training={"learning_rate": "sweep"})
    assert "held-out rows" in refused(plan)["training.learning_rate"]
    assert "sweep" not in plan.request


def test_a_sweep_of_grpo_is_refused() -> None:
    objective = {"type": "grpo", "rewards": ("json_valid",)}
    training = {"learning_rate": "sweep"}
    plan = planned(LOCAL, rows(kind="prompt"), objective=objective, training=training)
    assert "says nothing about its answers" in refused(plan)["training.learning_rate"]


@pytest.mark.parametrize("backend", MANAGED, ids=["together", "fireworks"])
def test_a_managed_service_refuses_a_sweep_and_names_the_ways_out(backend: Any) -> None:
    plan = planned(backend, training={"learning_rate": "sweep"})
    assert "makes no short runs" in refused(plan)["training.learning_rate"]
    assert "backend: local" in refused(plan)["training.learning_rate"]
    with pytest.raises(UnsupportedError):
        plan.require()
    sent = plan.request.get("body", plan.request)
    assert sent.get("learning_rate", sent.get("learningRate")) == plan.used(
        "training.learning_rate"
    )
