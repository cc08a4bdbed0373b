"""What each objective becomes in the local plan, and the traps that a plan stops at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import tunekit as tk
from tests.planning import setting
from tests.planning.setting import H100, LLAMA_8B
from tunekit.data.profile import Profile
from tunekit.planning.plan import Plan


def rows(count: int, *, kind: str, wanted: int = 0, **more: Any) -> Profile:
    return setting.rows(count, kind=kind, **more).model_copy(update={"wanted": wanted})


def planned(objective: Any, *, data: Any = None, devices: int = 1, **changes: Any) -> Plan:
    spec = tk.FineTune(model="acme/model", data="rows.jsonl", objective=objective, **changes)
    kind: Any = min(spec.objective.row_kinds - {"preference"} or {"preference"})
    profile = data or rows(400, kind=kind, wanted=200 if kind == "judged" else 0)
    machine = replace(H100, devices=devices)
    return tk.Local(machine=machine, engine="peft").plan(spec, LLAMA_8B, profile)


def refused(plan: Plan) -> tuple[str, str]:
    """Give the one field that is refused, and why."""
    (change,) = plan.unsupported
    return change.field, change.reason


def arguments(plan: Plan, *names: str) -> dict[str, Any]:
    return {name: plan.request["trainer"][name] for name in names}


# --- what they become ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (tk.DPO(), {"loss_type": ["sigmoid"], "beta": 0.1}),
        (tk.DPO(loss="hinge"), {"loss_type": ["hinge"], "beta": 0.1}),
        (tk.DPO(loss="robust"), {"loss_type": ["robust"], "label_smoothing": 0.1}),
        (
            tk.DPO(loss="robust", label_smoothing=0.2, sft_weight=0.5),
            {
                "loss_type": ["robust", "sft"],
                "loss_weights": [1.0, 0.5],
                "label_smoothing": 0.2,
            },
        ),
        (tk.DPO(length_normalized=True), {"loss_type": ["sigmoid_norm"], "beta": 5.0}),
        (tk.IPO(beta=0.5), {"loss_type": ["ipo"], "beta": 0.5}),
        (tk.KTO(beta=0.2), {"beta": 0.2, "desirable_weight": 1.0, "undesirable_weight": 1.0}),
        (tk.CPO(), {"beta": 0.1, "sft_weight": 1.0}),
        (tk.Reward(), {"center_rewards_coefficient": 0.01}),
        (tk.Reward(center_rewards_coefficient=0.0), {"center_rewards_coefficient": None}),
        (
            tk.GRPO(rewards=["json_valid", "pattern"], reward_weights=[1.0, 0.5], temperature=0.8),
            {
                "reward_weights": [1.0, 0.5],
                "num_generations": 8,
                "max_completion_length": 512,
                "temperature": 0.8,
                "beta": 0.0,
            },
        ),
    ],
)
def test_an_objective_becomes_arguments_of_trl(objective: Any, expected: dict[str, Any]) -> None:
    plan = planned(objective).require()
    assert arguments(plan, *expected) == expected
    if not isinstance(objective, tk.GRPO):
        assert plan.request["trainer"]["max_length"] is None


@pytest.mark.parametrize(
    ("objective", "asked"),
    [(tk.DPO(), True), (tk.IPO(), True), (tk.KTO(), True), (tk.CPO(), False), (tk.SimPO(), False)],
)
def test_all_weights_with_a_reference_compute_it_beforehand_and_say_so(
    objective: Any, asked: bool
) -> None:
    whole, adapter = planned(objective, method="full"), planned(objective)
    assert whole.request["trainer"].get("precompute_ref_log_probs", False) is asked
    assert "precompute_ref_log_probs" not in adapter.request["trainer"]
    noted = [change for change in whole.changes if change.field == "objective.reference"]
    assert [change.used for change in noted] == ["log-probabilities computed beforehand"] * asked


def test_rollouts_with_all_weights_and_a_penalty_load_a_second_model() -> None:
    free, bound = (
        planned(tk.GRPO(rewards="json_valid", beta=beta), method="full") for beta in (0.0, 0.04)
    )
    used = [[c.used for c in p.changes if c.field == "objective.reference"] for p in (free, bound)]
    assert used == [[], ["a second model"]]


def test_pairs_become_two_judged_answers_each_and_the_plan_says_so() -> None:
    plan = planned("kto", data=rows(400, kind="preference"))
    noted = [change for change in plan.changes if change.field == "data"]
    assert [(change.asked, change.used) for change in noted] == [("400 pairs", "800 answers")]


@pytest.mark.parametrize(
    ("wanted", "unwanted", "fields", "expected"),
    [
        (200, 200, {}, (1.0, 1.0)),
        (260, 200, {}, (1.0, 1.0)),
        (100, 300, {}, (3.0, 1.0)),
        (320, 80, {}, (1.0, 3.0)),
        (100, 300, {"undesirable_weight": 2.0}, (6.0, 2.0)),
        (320, 80, {"undesirable_weight": 1.0}, (0.3333, 1.0)),
        (100, 300, {"desirable_weight": 1.5}, (1.5, 0.5)),
    ],
)
def test_the_rarer_verdict_is_weighed_by_the_rule_of_the_paper(
    wanted: int, unwanted: int, fields: dict[str, Any], expected: tuple[float, float]
) -> None:
    profile = rows(wanted + unwanted, kind="judged", wanted=wanted)
    plan = planned(tk.KTO(**fields), data=profile).require()
    weights = arguments(plan, "desirable_weight", "undesirable_weight")
    assert tuple(weights.values()) == pytest.approx(expected, abs=1e-4)
    ratio = wanted * weights["desirable_weight"] / (unwanted * weights["undesirable_weight"])
    assert 1 - 1e-3 <= ratio <= 4 / 3 + 1e-3
    assert not [line for line in plan.warnings if "desirable_weight" in line]


def test_weights_that_leave_the_verdicts_out_of_balance_are_warned_of() -> None:
    objective = tk.KTO(desirable_weight=1.0, undesirable_weight=1.0)
    plan = planned(objective, data=rows(400, kind="judged", wanted=350)).require()
    (line,) = [line for line in plan.warnings if "desirable_weight" in line]
    assert "wanted answers weigh 7 times as much" in line


# --- traps --------------------------------------------------------------------------------------


def test_kto_with_one_answer_per_device_is_refused() -> None:
    field, reason = refused(planned("kto", training={"batch_size": 4}, devices=4))
    assert field == "training.batch_size"
    assert "take 8 or more" in reason
    assert "kto_trainer.py" in reason


@pytest.mark.parametrize(("batch", "devices"), [(2, 1), (6, 3), (9, 1), (16, 4)])
def test_kto_holds_two_answers_at_once_however_long_they_are(batch: int, devices: int) -> None:
    profile = rows(400, kind="judged", wanted=200, longest=100_000)
    plan = planned("kto", data=profile, training={"batch_size": batch}, devices=devices).require()
    size, steps = arguments(
        plan, "per_device_train_batch_size", "gradient_accumulation_steps"
    ).values()
    assert size >= 2
    assert size * steps * devices == batch


@pytest.mark.parametrize(("beta", "gap"), [(0.001, "500"), (50.0, "0.01")])
def test_a_beta_of_ipo_that_nobody_can_mean_is_refused(beta: float, gap: str) -> None:
    field, reason = refused(planned(tk.IPO(beta=beta)))
    assert field == "objective.beta"
    assert f"1 / (2 beta) = {gap} nats per token" in reason
    assert "2310.12036" in reason


def test_ipo_says_what_its_beta_asks_for() -> None:
    usual, low = planned(tk.IPO()), planned(tk.IPO(beta=0.02))
    (change,) = [change for change in usual.changes if change.field == "objective.beta"]
    assert change.used == "a gap of 5 nats per token"
    assert not [line for line in usual.warnings if "out of reach" in line]
    assert [line for line in low.warnings if "25 nats per token are out of reach" in line]


@pytest.mark.parametrize(
    ("objective", "field", "words"),
    [
        (
            tk.DPO(loss="hinge", length_normalized=True),
            "objective.length_normalized",
            "for the sigmoid loss only, not for hinge",
        ),
        (
            tk.DPO(label_smoothing=0.1),
            "objective.label_smoothing",
            "write loss: robust",
        ),
        (tk.GRPO(), "objective.rewards", "rewards: ['module:function']"),
        (
            tk.GRPO(rewards=["json_valid"], reward_weights=[1.0, 2.0]),
            "objective.reward_weights",
            "there are 1 reward functions",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    objective: Any, field: str, words: str
) -> None:
    found, reason = refused(planned(objective))
    assert found == field
    assert words in reason


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (tk.DPO(), "pairs of answers"),
        (tk.KTO(), "compared with those of other rows"),
        (tk.GRPO(rewards="json_valid"), "written one by one"),
    ],
)
def test_what_cannot_be_packed_says_why(objective: Any, words: str) -> None:
    field, reason = refused(planned(objective, training={"packing": True}))
    assert field == "training.packing"
    assert words in reason


@pytest.mark.parametrize("name", ["generations", "forgetting", "overfitting"])
def test_a_reward_model_is_not_asked_to_answer(name: str) -> None:
    field, reason = refused(planned("reward", evaluation={name: True if name[0] != "g" else 4}))
    assert field == f"evaluation.{name}"
    assert "cannot answer" in reason
    assert planned("reward").require().request["evaluation"]["generations"] == 0


def test_a_batch_that_splits_the_answers_to_a_prompt_is_refused() -> None:
    objective = tk.GRPO(rewards="json_valid", generations=8)
    field, reason = refused(planned(objective, training={"batch_size": 20}))
    assert field == "training.batch_size"
    assert "such as 16" in reason


def test_a_batch_of_more_prompts_than_there_are_is_refused() -> None:
    objective = tk.GRPO(rewards="json_valid", generations=8)
    few = rows(3, kind="prompt")
    field, reason = refused(planned(objective, data=few, training={"batch_size": 32}))
    assert (field, "a step takes 4 prompts, and there are 3" in reason) == (
        "training.batch_size",
        True,
    )


def test_prompts_that_a_pass_leaves_out_are_said() -> None:
    objective = tk.GRPO(rewards="json_valid", generations=8)
    plan = planned(objective, data=rows(10, kind="prompt"), training={"batch_size": 32}).require()
    assert any("2 of 10 are left out in each pass" in line for line in plan.warnings)


@pytest.mark.parametrize("devices", [1, 3])
def test_an_automatic_batch_suits_the_answers_to_a_prompt(devices: int) -> None:
    objective = tk.GRPO(rewards="json_valid", generations=6)
    plan = planned(objective, devices=devices).require()
    size, steps = arguments(
        plan, "per_device_train_batch_size", "gradient_accumulation_steps"
    ).values()
    assert size * steps * devices % 6 == 0


@pytest.mark.parametrize("method", ["prefix", "prompt", "ptuning"])
def test_scores_are_not_read_at_padding(method: Any) -> None:
    field, reason = refused(planned("reward", method=method))
    assert (field, "at its padding" in reason) == ("method.type", True)


@pytest.mark.parametrize("objective", [tk.DPO(), tk.KTO(), tk.Reward()])
def test_training_does_not_stop_by_a_loss_that_is_not_the_objectives(objective: Any) -> None:
    field, reason = refused(planned(objective, training={"early_stopping": 3}))
    assert field == "training.early_stopping"
    assert "held-out answers that are imitated" in reason
    planned(tk.ORPO(), training={"early_stopping": 3}).require()


def test_a_sweep_of_all_weights_against_the_base_is_refused() -> None:
    field, reason = refused(planned("dpo", method="full", training={"learning_rate": "sweep"}))
    assert field == "training.learning_rate"
    assert "take an adapter" in reason


# --- services -----------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", [tk.Together(), tk.Fireworks()], ids=["together", "fireworks"])
@pytest.mark.parametrize(
    "objective", [tk.IPO(), tk.KTO(), tk.CPO(), tk.Reward(), tk.GRPO(rewards="json_valid")]
)
def test_a_service_refuses_by_name_what_it_cannot_train(backend: Any, objective: Any) -> None:
    spec = tk.FineTune(model="Qwen/Qwen3-8B", data="rows.jsonl", objective=objective)
    profile = rows(400, kind=min(objective.row_kinds))
    plan = backend.plan(spec, LLAMA_8B, profile)
    reasons = {change.field: change.reason for change in plan.unsupported}
    assert "backend: local" in reasons["objective.type"]
    name = type(objective).__name__
    assert name in reasons["objective.type"] or "Python functions" in reasons["objective.type"]


@pytest.mark.parametrize("backend", [tk.Together(), tk.Fireworks()], ids=["together", "fireworks"])
def test_a_service_has_the_sigmoid_loss_of_dpo_only(backend: Any) -> None:
    spec = tk.FineTune(model="Qwen/Qwen3-8B", data="rows.jsonl", objective=tk.DPO(loss="robust"))
    plan = backend.plan(spec, LLAMA_8B, rows(400, kind="preference"))
    assert "objective.loss" in {change.field for change in plan.unsupported}


def test_a_beta_that_fireworks_cannot_take_is_refused() -> None:
    spec = tk.FineTune(model="Qwen/Qwen3-8B", data="rows.jsonl", objective=tk.SimPO(beta=2.0))
    plan = tk.Fireworks().plan(spec, LLAMA_8B, rows(400, kind="preference"))
    assert {"objective.type", "objective.beta"} <= {change.field for change in plan.unsupported}
