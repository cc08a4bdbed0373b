"""A run of fewer than 100 optimizer steps is told, where the steps are known."""

from __future__ import annotations

from typing import Any

import pytest

import tunekit as tk
from tests.planning.setting import rows
from tunekit.errors import DataError
from tunekit.planning.plan import Change, Plan
from tunekit.planning.steps import few_steps, steps

PLAN = Plan(backend="some", model="org/a-model", request={})


def spec(checks: dict[str, Any] | None = None, **training: Any) -> tk.FineTune:
    data = tk.Data(source="rows.jsonl", checks=checks or {})
    return tk.FineTune(model="org/a-model", data=data, training=training)


# 1000 rows in batches of 16 are 63 steps, the last of them with 8 rows.
@pytest.mark.parametrize(
    ("training", "count"),
    [
        ({"epochs": 1, "batch_size": 16}, 63),
        ({"epochs": 2, "batch_size": 16}, 126),
        ({"epochs": 0.5, "batch_size": 16}, 32),
        ({"max_steps": 7}, 7),
        # 200,000 tokens are 98 sequences of 2,048.
        ({"epochs": 1, "batch_size": 4, "packing": True, "max_length": 2048}, 25),
        # The base's own answers to a quarter as many prompts are 250 rows more.
        ({"epochs": 1, "batch_size": 16, "replay": {"source": "self", "ratio": 0.25}}, 79),
        ({"epochs": 1, "batch_size": 16, "replay": {"source": "general", "ratio": 0.25}}, 63),
        ({"epochs": 1}, None),
        ({"batch_size": 16}, None),
    ],
)
def test_steps_are_counted_where_epochs_and_batch_size_are_known(
    training: dict[str, Any], count: int | None
) -> None:
    assert steps(spec(**training), rows(1000), PLAN) == count


def test_a_picked_value_counts_and_one_in_another_unit_does_not() -> None:
    auto = Change(field="training.batch_size", outcome="auto", used=10, reason="picked")
    adapted = auto.model_copy(update={"outcome": "adapted", "used": 65_536})
    wanted = spec(epochs=1)
    assert steps(wanted, rows(1000), PLAN.model_copy(update={"changes": (adapted, auto)})) == 100
    assert steps(wanted, rows(1000), PLAN.model_copy(update={"changes": (adapted,)})) is None


def test_few_steps_are_told_and_enough_are_not() -> None:
    (issue,) = few_steps(spec(epochs=1, batch_size=16), rows(1000), PLAN)
    assert (issue.code, issue.severity, "63 optimizer steps" in issue.message) == (
        "few-steps",
        "warning",
        True,
    )
    assert not list(few_steps(spec(epochs=2, batch_size=16), rows(1000), PLAN))
    off = spec({"few-steps": "off"}, epochs=1, batch_size=16)
    assert not list(few_steps(off, rows(1000), PLAN))


def test_few_steps_stop_a_run_where_the_spec_says_so() -> None:
    from tunekit.testing.fake import FakeBackend

    source = [{"prompt": f"{n} + 1 =", "completion": str(n + 1)} for n in range(60)]
    data = tk.Data(source=source, checks={"few-steps": "error"})
    with pytest.raises(DataError, match="few-steps"):
        tk.plan(
            tk.FineTune(model="org/a-model", data=data, training={"max_steps": 3}), FakeBackend()
        )
