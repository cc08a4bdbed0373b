"""What is measured of a run, as the worker's request has it."""

from __future__ import annotations

from typing import Any

from tunekit.backends.local import objective, sizes
from tunekit.data.profile import Profile
from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Change
from tunekit.spec.evaluation import Evaluation
from tunekit.spec.finetune import FineTune


def settings(use: Ledger, spec: FineTune, data: Profile) -> dict[str, Any]:
    """Account for every field of the evaluation, and give the worker's settings."""
    wanted = spec.evaluation
    enabled = wanted.enabled and data.validation_rows > 0
    made = {**plain(wanted, rows_seen=_rows_seen(use, data)), "enabled": enabled}
    if wanted.enabled and not enabled:
        use.note(
            Change(
                field="evaluation.enabled",
                outcome="adapted",
                asked=True,
                used=False,
                reason="there are no held-out rows to compare on",
            )
        )
    if spec.objective.type == "reward" and wanted.generations:
        made.update(objective.scores_only(use, spec))
    elif enabled and wanted.generations == "auto":
        use.note(_answers(int(made["generations"])))
    if wanted.gate is not None and wanted.enabled and not enabled:
        use.refuse_value("evaluation.gate", made["gate"], "nothing is measured that could pass it")
    for field in Evaluation.model_fields:
        use.hold(f"evaluation.{field}")
    made["curve"] = _curve(use, data, measured=enabled)
    return made


def _curve(use: Ledger, data: Profile, *, measured: bool) -> dict[str, Any] | None:
    """Say whether the held-out loss is measured during the training, and when that ends it.

    While no row has been seen twice, the training loss itself tells.
    """
    patience = use.take("training.early_stopping")
    if not data.validation_rows:
        if patience is not None:
            reason = "there are no held-out rows to stop by; see validation"
            use.refuse_value("training.early_stopping", patience, reason)
        return None
    again = measured and _rows_seen(use, data) > data.rows
    return {"patience": patience} if again or patience is not None else None


def plain(wanted: Evaluation, *, rows_seen: float) -> dict[str, Any]:
    """Give the settings as JSON, what is "auto" resolved as far as it can be without a model.

    Args:
        wanted: The evaluation of a spec.
        rows_seen: Rows trained on, times the passes over them.
    """
    given: dict[str, Any] = wanted.model_dump(mode="json")
    auto_answers = wanted.generations == "auto"
    return {
        **given,
        "metrics": None if wanted.metrics == "auto" else given["metrics"],
        "generations": sizes.answers(rows_seen) if auto_answers else wanted.generations,
        "max_new_tokens": None if wanted.max_new_tokens == "auto" else wanted.max_new_tokens,
        "rows_seen": rows_seen,
    }


def _rows_seen(use: Ledger, data: Profile) -> float:
    steps = use.value("training.max_steps")
    if steps is not None:
        return float(steps * use.value("training.batch_size"))
    return float(data.rows * use.value("training.epochs"))


def _answers(count: int) -> Change:
    return Change(
        field="evaluation.generations",
        outcome="auto",
        asked="auto",
        used=count,
        reason="a tenth of the rows that are trained on, 16 to 200",
    )
