"""The fake backend: the same every time, and taken seriously by PEFT."""

from __future__ import annotations

from pathlib import Path

import pytest

import tunekit as tk
from tests.tiny import tiny_model
from tunekit import errors
from tunekit.testing import FakeBackend, write_adapter, write_model

ROWS = [{"prompt": f"{n} + 1 =", "completion": f" {n + 1}"} for n in range(20)]
SPEC = tk.FineTune(model="org/a-model", data=ROWS)


def test_a_run_reports_every_step_and_succeeds() -> None:
    run = tk.run(SPEC, FakeBackend(steps=4), progress=False)

    steps = [event.step for event in run.events(follow=False) if event.kind == "metrics"]
    assert steps == [0, 1, 2, 3, 4]
    assert run.state is tk.JobState.SUCCEEDED


def test_two_runs_say_the_same() -> None:
    def said() -> list[dict[str, object]]:
        run = tk.run(SPEC, FakeBackend(), progress=False)
        events = [event.model_dump(exclude={"time"}) for event in run.events(follow=False)]
        return [event for event in events if event["kind"] != "log"]

    assert said() == said()


def test_a_job_told_to_fail_fails_with_its_reason() -> None:
    with pytest.raises(errors.RunFailed, match="the moon is full"):
        tk.run(SPEC, FakeBackend(outcome="failed", reason="the moon is full"), progress=False)


def test_a_run_is_compared_on_held_out_rows() -> None:
    evaluation = tk.run(SPEC, FakeBackend(), progress=False).evaluation

    assert evaluation is not None
    assert (evaluation.base.loss, evaluation.tuned.loss) == (2.0, 1.0)


def test_without_held_out_rows_there_is_no_comparison() -> None:
    spec = tk.FineTune(model="org/a-model", data=ROWS, validation=None)

    assert tk.run(spec, FakeBackend(), progress=False).evaluation is None


def test_another_process_rebuilds_the_backend_with_its_settings() -> None:
    run = tk.submit(SPEC, FakeBackend(steps=5))

    assert tk.get(run.id).wait(timeout=30).plan.request["steps"] == 5


def test_the_adapter_loads_and_adds_what_its_numbers_say(tmp_path: Path) -> None:
    import torch

    model = tiny_model(tmp_path / "model", layers=1, hidden=4)
    (tmp_path / "adapter").mkdir()
    write_adapter(tmp_path / "adapter", model=str(model), rank=2, alpha=4.0)

    tuned = tk.Adapter.open(tmp_path / "adapter").load()

    layer = tuned.get_base_model().model.layers[0].self_attn.q_proj
    # alpha / rank * B A: each element is 4 / 2 * (2 * 0.01 * 0.01).
    expected = torch.full((4, 4), 4e-4)
    torch.testing.assert_close(layer.get_delta_weight("default"), expected)


def test_the_full_model_is_loaded_by_transformers(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    write_model(tmp_path)

    _, report = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
