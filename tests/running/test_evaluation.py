"""Runs measured after they are over: here, through their endpoint, and at other scales."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

import tunekit as tk
from tests.local.specs import chats, small
from tests.running.chatty import Chatty, asked
from tunekit import errors
from tunekit.cli import exits
from tunekit.cli.app import app
from tunekit.evaluation.compare import Comparison
from tunekit.running.mitigation import RECORD

SETTINGS: dict[str, Any] = {
    "validation": chats(16, seed=5),
    "evaluation": {"generations": 4, "max_new_tokens": 6},
    "training": {"max_steps": 8, "learning_rate": 1e-2},
}


def trained(folder: Path, **changes: Any) -> tk.Run:
    return tk.run(small(folder, **{**SETTINGS, **changes}), progress=False)


def figures(found: Comparison | None) -> list[float]:
    """Every number of a comparison that another pass over the same rows should give again."""
    assert found is not None and found.forgetting is not None
    assert found.overfitting is not None and found.rank is not None
    losses = [total for side in (found.base, found.tuned) for total, _ in side.rows]
    differences = [(each.low, each.high, each.base, each.tuned) for each in found.differences]
    signs = [(sign.value, sign.low, sign.high) for sign in found.forgetting.signals]
    heart = (found.overfitting.train_loss, found.overfitting.held_out_loss)
    values = [value for spectrum in found.rank.spectra for value in spectrum.values]
    numbers = [*losses, *itertools.chain(*differences, *signs), *heart, *values]
    return [0.0 if number is None else number for number in numbers]


@pytest.mark.slow
def test_a_run_measured_again_gives_the_same_figures(tmp_path: Path) -> None:
    run = trained(tmp_path)
    first = run.evaluation
    again = run.evaluate()
    assert figures(again) == pytest.approx(figures(first), abs=1e-4)
    assert first is not None
    assert (again.base.answers, again.tuned.answers) == (first.base.answers, first.tuned.answers)
    assert run.evaluation == again
    assert again.rank is not None
    assert {spectrum.rank for spectrum in again.rank.spectra} == {4}


@pytest.mark.slow
def test_a_full_model_is_measured_against_its_base(tmp_path: Path) -> None:
    run = trained(tmp_path, method="full", training={"max_steps": 4, "learning_rate": 1e-3})
    first = run.evaluation
    again = run.evaluate()
    assert first is not None
    assert again.base.loss == pytest.approx(first.base.loss, abs=1e-5)
    assert again.tuned.loss == pytest.approx(first.tuned.loss, abs=1e-5)
    assert again.rank is None
    assert again.forgetting is not None and first.forgetting is not None
    for one, other in zip(again.forgetting.signals, first.forgetting.signals, strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-5)
    with pytest.raises(errors.RunError, match="every weight was trained"):
        run.mitigate()


@pytest.mark.slow
def test_rows_of_another_file_may_be_measured_on(tmp_path: Path) -> None:
    run = trained(tmp_path, validation=None, evaluation={"generations": 2, "max_new_tokens": 4})
    assert run.evaluation is None
    with pytest.raises(errors.RunError, match="has no held-out rows; name some"):
        run.evaluate()
    rows = tmp_path / "other.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in chats(9, seed=8)))
    assert run.evaluate(rows).differences[0].items == 9


@pytest.mark.slow
def test_a_weaker_adapter_is_found_and_written(tmp_path: Path) -> None:
    run = trained(
        tmp_path,
        evaluation={"generations": 2, "max_new_tokens": 4, "gate": {"forgetting": "pass"}},
        training={"max_steps": 10, "learning_rate": 1e-2},
    )
    assert run.evaluation is not None and run.evaluation.forgetting is not None
    assert run.evaluation.forgetting.status == "warn"

    strict = run.mitigate(keep=1.0)
    assert (strict.adapter, strict.found.chosen) == (None, None)

    made = run.mitigate(keep=0.5)
    chosen = made.found.chosen
    assert chosen is not None and chosen < 1
    assert made.adapter == run.folder / f"adapter-{chosen:g}"
    comparison = made.found.comparison
    assert comparison is not None and comparison.forgetting is not None
    assert comparison.forgetting.status == "pass"
    assert comparison.gate is not None and comparison.gate.passed
    assert comparison.tuned.loss == pytest.approx(made.found.steps[-1].loss, abs=1e-6)
    weaker = tk.Adapter.open(made.adapter)
    assert weaker.provenance is not None
    assert weaker.provenance.used["scaled_by"] == chosen
    assert json.loads((run.folder / RECORD).read_text())["chosen"] == chosen

    # The weaker adapter, loaded as any other, is the one that was measured.
    from tunekit.running.evaluation import evaluate
    from tunekit.store import RunFolder

    again = evaluate(RunFolder(run.folder), adapter=made.adapter, keep=False)
    assert again.tuned.loss == pytest.approx(comparison.tuned.loss, abs=1e-5)
    assert run.evaluation != again


@pytest.mark.slow
def test_eval_exits_by_the_gate_and_writes_what_ci_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = {"verdict": "improved", "minimum": {"exact_match": 0.9}}
    run = trained(tmp_path, evaluation={**SETTINGS["evaluation"], "gate": gate})
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    report = tmp_path / "reports" / "gate.xml"
    done = CliRunner().invoke(app, ["eval", run.id, "--junit", str(report)])
    assert done.exit_code == exits.GATE, done.output
    suite = ElementTree.parse(report).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "exact_match is 0; at least 0.9 is asked for"
    assert f"::error title=tunekit {run.id}::exact_match is 0" in done.output
    as_json = CliRunner().invoke(app, ["eval", run.id, "--json"])
    assert json.loads(as_json.stdout)["gate"]["passed"] is False
    assert as_json.exit_code == exits.GATE


def test_a_run_that_is_not_at_home_cannot_be_measured(tmp_path: Path) -> None:
    from tunekit.testing.fake import FakeBackend

    run = tk.submit(small(tmp_path), FakeBackend())
    with pytest.raises(errors.RunError, match="its result is not here"):
        run.evaluate()


def test_a_run_that_is_served_nowhere_is_not_asked(tmp_path: Path) -> None:
    from tunekit.testing.fake import FakeBackend

    run = tk.run(small(tmp_path), FakeBackend(), progress=False)
    with pytest.raises(errors.RunError, match=f"tunekit deploy {run.id}"):
        run.evaluate(endpoint=True)


def test_served_models_answer_the_held_out_chats(tmp_path: Path) -> None:
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"{n} say {word}"},
                {"role": "assistant", "content": word},
            ]
        }
        for n, word in enumerate(["red", "green", "blue"] * 12)
    ]
    spec = small(
        tmp_path,
        data=rows[24:],
        validation=rows[:24],
        evaluation={"generations": 20, "gate": {"minimum": {"accuracy": 1.0}}},
    )
    run = tk.run(spec, Chatty(), progress=False)
    run.deploy()
    asked.clear()
    found = run.evaluate(endpoint=True)
    assert found.base.answers == tuple(str(n) for n in range(20))
    assert found.tuned.answers == found.references
    assert (found.differences[0].name, found.verdict) == ("accuracy", "improved")
    assert (found.tuned.loss, found.forgetting) == (None, None)
    assert found.gate is not None and found.gate.passed
    assert run.evaluation == found
    # The base goes by the name that the run was started with.
    assert {model for model, _ in asked} == {"tuned", spec.model}
