"""A run that another one goes on from: which one, and what a backend is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tunekit.errors import SpecError
from tunekit.running.warm_start import resolved
from tunekit.testing.fake import FakeBackend

ROWS = [{"prompt": f"{n} + 1 =", "completion": f" {n + 1}"} for n in range(20)]


def spec(**fields: Any) -> tk.FineTune:
    return tk.FineTune(**{"model": "acme/model", "data": ROWS, "validation": None, **fields})


def test_a_run_of_another_backend_is_what_it_brought_home() -> None:
    run = tk.run(spec(output={"name": "support"}), FakeBackend(), progress=False)
    folder = str(run.folder / "adapter")

    for name in (run.id, "support"):
        begun, (change,) = resolved(spec(start_from=name), "together")

        assert begun.start_from == folder
        assert (change.asked, change.used) == (name, folder)
        assert run.id in change.reason


def test_a_job_and_a_folder_are_taken_as_they_are(tmp_path: Path) -> None:
    job = spec(start_from="together:ft-1")
    folder, _ = resolved(spec(start_from=tmp_path), "local")
    near, _ = resolved(spec(start_from="./adapter"), "local")

    assert resolved(job, "local") == (job, ())
    assert folder.start_from == str(tmp_path)
    assert near.start_from == str(Path.cwd() / "adapter")


def test_a_start_that_is_no_run_says_what_it_may_be() -> None:
    with pytest.raises(SpecError, match=r"start_from: no run 'support'.*together:ft-12ab"):
        tk.plan(spec(start_from="support"), "together")


def test_a_run_of_another_model_is_refused() -> None:
    run = tk.run(spec(), FakeBackend(), progress=False)

    with pytest.raises(SpecError, match="trained acme/model, and model is acme/other"):
        resolved(spec(model="acme/other", start_from=run.id), "local")


def test_a_run_that_brought_nothing_home_is_waited_for() -> None:
    run = tk.submit(spec(), FakeBackend())

    with pytest.raises(SpecError, match=f"`tunekit wait {run.id}`"):
        resolved(spec(start_from=run.id), "local")


def test_the_plan_says_what_a_run_became_and_a_service_takes_only_its_own() -> None:
    run = tk.run(spec(), FakeBackend(), progress=False)

    changes = tk.plan(spec(start_from=run.id), "together").changes

    assert [(one.field, one.outcome) for one in changes if one.field == "start_from"] == [
        ("start_from", "adapted"),
        ("start_from", "unsupported"),
    ]


def test_this_machine_goes_on_from_what_came_home() -> None:
    run = tk.run(spec(), FakeBackend(), progress=False)

    plan = tk.plan(spec(start_from=run.id), "local")

    assert not plan.unsupported
    assert plan.request["start"]["folder"] == str(run.folder / "adapter")
