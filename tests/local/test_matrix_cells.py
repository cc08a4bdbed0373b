"""Every method with every objective: it trains, or the plan says why not. No cell is unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.local.objective_rows import JUDGED, PAIRS, PROMPTS, letters
from tests.local.specs import chats, losses, small
from tests.tiny import tiny_model
from tunekit.testing.full import every, members

HERE = tk.Local(in_process=True)
ROWS: dict[str, Any] = {
    "conversation": chats(8),
    "judged": JUDGED,
    "preference": PAIRS,
    "prompt": PROMPTS,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "lora": {"rank": 2},
    "qlora": {"rank": 2},
    "adalora": {"rank": 2},
    # All linear layers are seconds of a tiny model, and minutes of a small one.
    "boft": {"target_modules": ["q_proj"]},
    "vera": {"rank": 4},
    "oft": {"block_size": 4},
    "prefix": {"num_virtual_tokens": 3},
    "prompt": {"num_virtual_tokens": 3},
    "ptuning": {"num_virtual_tokens": 3},
    "peft": {"config": {"peft_type": "MISS", "r": 2, "target_modules": "all-linear"}},
    "grpo": {"rewards": [letters], "generations": 4, "max_new_tokens": 12},
}
"""What makes a member small; one that is not here is trained as it is."""
CELLS = [(method.model_fields["type"].default, kind) for method, kind in every()]


def part(tag: str) -> dict[str, Any]:
    return {"type": tag, **SETTINGS.get(tag, {})}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model for all runs."""
    folder = tmp_path_factory.mktemp("cells")
    tiny_model(folder / "model")
    return folder


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "objective"),
    CELLS,
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
def test_a_cell_trains_or_says_why_not(room: Path, method: str, objective: Any) -> None:
    spec = small(
        room,
        data=next(rows for kind, rows in ROWS.items() if kind in objective.row_kinds),
        method=part(method),
        objective=part(objective.model_fields["type"].default),
        training={"max_steps": 2, "batch_size": 8, "learning_rate": 1e-2, "warmup_ratio": 0.0},
    )
    plan = tk.plan(spec, HERE)
    if plan.unsupported:
        assert all(change.reason for change in plan.unsupported)
        return

    run = tk.run(spec, HERE, progress=False)

    assert len(losses(run)) == 2
    assert run.adapter.kind == ("model" if method == "full" else "adapter")
    assert run.adapter.load() is not None


EMBEDDED = [
    *((kind.model_fields["type"].default, "sft") for kind in members("method")),
    *(("lora", kind.model_fields["type"].default) for kind in members("objective")),
]


@pytest.mark.long
@pytest.mark.parametrize(("method", "objective"), dict.fromkeys(EMBEDDED))
def test_the_embedded_model_trains_in_sixteen_bits(method: str, objective: str) -> None:
    kinds = next(
        kind.row_kinds  # type: ignore[attr-defined]
        for kind in members("objective")
        if kind.model_fields["type"].default == objective
    )
    spec = tk.FineTune(
        model="embedded:smollm2-135m",
        data=next(rows for kind, rows in ROWS.items() if kind in kinds),
        method=part(method),
        objective=part(objective),
        training={
            "max_steps": 2,
            "batch_size": 4,
            "learning_rate": 1e-3,
            "warmup_ratio": 0.0,
            "dtype": "bfloat16",
        },
        validation=None,
        evaluation={"enabled": False},
    )

    run = tk.run(spec, HERE, progress=False)

    assert run.adapter.load() is not None


def test_the_cells_are_all_that_the_spec_knows() -> None:
    methods = {kind.model_fields["type"].default for kind in members("method")}
    assert {method for method, _ in CELLS} == methods
    assert len(CELLS) == len(methods) * len(members("objective"))
