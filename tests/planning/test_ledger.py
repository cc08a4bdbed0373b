"""Each field of a spec leaves through the ledger once, or the plan says so."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from tests.planning.setting import CPU, SMOL, rows
from tunekit.errors import UnsupportedError
from tunekit.planning.defaults import resolve
from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Change, Plan
from tunekit.spec.finetune import FineTune


def a_spec(**fields: Any) -> FineTune:
    return FineTune(model="acme/small", data="rows.jsonl", **fields)


def outcomes(plan: Plan) -> dict[str, str]:
    return {change.field: change.outcome for change in plan.changes}


def test_a_field_that_nobody_mentions_is_refused_when_it_was_set() -> None:
    ledger = Ledger(a_spec(training={"seed": 7}))
    ledger.hold("model")
    ledger.hold("data")
    plan = ledger.close({}, backend="acme")
    assert [change.field for change in plan.unsupported] == ["training.seed"]
    assert plan.unsupported[0].reason == "acme does not know this field"
    assert outcomes(plan)["training.epochs"] == "dropped"


def test_taking_a_field_honours_it_in_silence() -> None:
    ledger = Ledger(a_spec(training={"seed": 7}))
    assert ledger.take("training.seed") == 7
    assert "training.seed" not in outcomes(ledger.close({}, backend="acme"))


def test_taking_an_automatic_value_lists_it() -> None:
    spec = a_spec()
    ledger = Ledger(spec, resolve(spec, SMOL, rows(475), CPU))
    assert ledger.take("training.epochs") == 3
    plan = ledger.close({}, backend="acme")
    assert outcomes(plan)["training.epochs"] == "auto"
    assert plan.used("training.epochs") == 3


def test_adapting_lists_both_values_and_equal_ones_not_at_all() -> None:
    ledger = Ledger(a_spec(training={"warmup_ratio": 0.03}))
    assert ledger.adapt("training.warmup_ratio", 9, "in steps") == 9
    assert ledger.adapt("training.seed", 42, "the same") == 42
    plan = ledger.close({}, backend="acme")
    change = next(each for each in plan.changes if each.field == "training.warmup_ratio")
    assert (change.outcome, change.asked, change.used) == ("adapted", 0.03, 9)
    assert "training.seed" not in outcomes(plan)


def test_dropping_a_default_is_not_worth_a_line() -> None:
    ledger = Ledger(a_spec(training={"gradient_checkpointing": True}))
    ledger.drop("training.gradient_checkpointing", "the provider's affair")
    ledger.drop("training.dtype", "the provider's affair")
    plan = ledger.close({}, backend="acme")
    assert outcomes(plan)["training.gradient_checkpointing"] == "dropped"
    assert "training.dtype" not in outcomes(plan)


def test_refusing_a_group_refuses_what_was_set_in_it() -> None:
    ledger = Ledger(a_spec(evaluation={"generations": 50}))
    ledger.hold("model")
    ledger.hold("data")
    ledger.refuse("evaluation", "not here")
    plan = ledger.close({}, backend="acme")
    assert [change.field for change in plan.unsupported] == ["evaluation.generations"]
    assert outcomes(plan)["evaluation.examples"] == "dropped"


def test_the_changes_are_sorted_with_what_stops_the_run_first() -> None:
    ledger = Ledger(a_spec(training={"seed": 7}))
    ledger.adapt("training.warmup_ratio", 9, "in steps")
    ledger.note(Change(field="backend.threads", outcome="auto", used=2, reason="two are here"))
    plan = ledger.close({}, backend="acme")
    order = [change.outcome for change in plan.changes]
    assert order == sorted(order, key=["unsupported", "adapted", "dropped", "auto"].index)


def test_the_summary_names_objective_method_and_rows() -> None:
    plan = Ledger(a_spec(method="qlora")).close({}, backend="acme", data=rows(1475))
    assert plan.summary == "SFT with QLoRA on 1,475 conversation rows, 50 held out"
    assert Ledger(a_spec()).close({}, backend="acme").summary == "SFT with LoRA"


def refused() -> Plan:
    ledger = Ledger(a_spec(training={"seed": 7, "packing": True}))
    ledger.hold("model")
    ledger.hold("data")
    ledger.refuse("training.packing", "rows are not joined here")
    return ledger.close({"n": 1}, backend="acme")


def test_all_that_cannot_be_honoured_stops_the_run_at_once() -> None:
    with pytest.raises(UnsupportedError) as caught:
        refused().require()
    assert str(caught.value) == (
        "acme cannot honour what the spec sets:\n"
        "  - training.packing: True: rows are not joined here\n"
        "  - training.seed: 7: acme does not know this field\n"
        "Remove these settings, choose another backend, or go on without them "
        "with strict=False (`--no-strict`)."
    )
    assert caught.value.plan == refused()
    assert pickle.loads(pickle.dumps(caught.value)).plan == refused()


def test_without_strictness_the_run_goes_on_with_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"training\.packing: True: rows are not joined here"):
        assert refused().require(strict=False) == refused()


def test_a_plan_is_json_and_comes_back_the_same() -> None:
    spec = a_spec()
    ledger = Ledger(spec, resolve(spec, SMOL, rows(475), CPU))
    plan = ledger.close({"lr": ledger.take("training.learning_rate")}, backend="acme")
    text = plan.model_dump_json()
    assert Plan.model_validate(json.loads(text)).model_dump_json() == text
