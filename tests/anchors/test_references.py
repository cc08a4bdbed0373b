"""Where the base is the reference, an adapter that rewrites the base is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.planning.setting import H100, LLAMA_8B, rows
from tunekit.backends.local.parent import Local
from tunekit.spec.finetune import FineTune


def refused(init: str, objective: str) -> dict[str, str]:
    spec = FineTune(
        model="acme/model",
        data="rows.jsonl",
        method={"type": "lora", "rank": 8, "init": init},
        objective=objective,
    )
    kind = "conversation" if objective == "sft" else "preference"
    plan: Any = Local(machine=H100, engine="peft").plan(spec, LLAMA_8B, rows(kind=kind))
    return {change.field: change.reason for change in plan.unsupported}


@pytest.mark.parametrize("objective", ["dpo", "ipo", "kto"])
@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_an_init_that_moves_the_base_is_refused_beside_a_reference(
    init: str, objective: str
) -> None:
    # With these TRL's first loss of DPO is 0.6942 and 0.6938, not log 2.
    assert "with its adapter off" in refused(init, objective)["method.init"]


@pytest.mark.parametrize(
    ("init", "objective"),
    [("orthogonal", "dpo"), ("eva", "kto"), ("pissa", "sft"), ("olora", "simpo")],
)
def test_it_is_taken_where_nothing_is_compared_with_the_base(init: str, objective: str) -> None:
    assert not refused(init, objective)
