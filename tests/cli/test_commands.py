"""What each command prints, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tunekit as tk
from tests.cli.specs import spec_file
from tunekit.cli import exits
from tunekit.cli.app import app


def call(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.stdout


def started(folder: Path, **settings: Any) -> str:
    return call("run", str(spec_file(folder, **settings)), "--detach").splitlines()[-1]


def test_run_prints_the_plan_and_how_it_ended(tmp_path: Path) -> None:
    said = call("run", str(spec_file(tmp_path, training={"seed": 7})))

    assert "org/a-model" in said
    assert "succeeded" in said


def test_run_prints_the_figures_before_and_after(tmp_path: Path) -> None:
    said = call("run", str(spec_file(tmp_path)))

    assert "2.0" in said
    assert "1.0" in said
    assert "the answer" in said


def test_run_as_json_prints_nothing_else_on_stdout(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["run", str(spec_file(tmp_path)), "--json"])

    facts = json.loads(result.stdout)
    assert facts["state"] == "succeeded"
    assert facts["evaluation"]["base"]["loss"] == 2.0
    assert Path(facts["adapter"], "adapter_config.json").exists()
    assert result.stderr == ""


def test_a_failed_run_as_json_says_why_on_stdout(tmp_path: Path) -> None:
    path = spec_file(tmp_path, backend={"outcome": "failed", "reason": "no luck"})

    facts = json.loads(call("run", str(path), "--json", code=exits.FAILED))

    assert (facts["state"], facts["reason"]) == ("failed", "no luck")
    assert facts["adapter"] is None


def test_overrides_reach_the_spec(tmp_path: Path) -> None:
    path = str(spec_file(tmp_path))

    said = call("plan", path, "--set", "training.epochs=3", "-s", "method.rank=4", "--json")

    request = json.loads(said)["request"]
    assert (request["training"]["epochs"], request["method"]["rank"]) == (3, 4)


def test_a_backend_given_as_an_option_goes_before_the_one_in_the_file(tmp_path: Path) -> None:
    path = str(spec_file(tmp_path))

    assert json.loads(call("plan", path, "--backend", "local", "--json"))["backend"] == "local"


def test_a_plan_with_an_unsupported_setting_is_shown_and_ends_with_3(tmp_path: Path) -> None:
    path = str(spec_file(tmp_path, backend={"refuses": ["training.seed"]}, training={"seed": 7}))

    said = call("plan", path, code=exits.REFUSED)

    assert "training.seed" in said
    assert "told to refuse it" in said
    call("plan", path, "--no-strict")


def test_no_strict_goes_on_with_a_warning(tmp_path: Path) -> None:
    path = str(spec_file(tmp_path, backend={"refuses": ["training.seed"]}, training={"seed": 7}))

    result = CliRunner().invoke(app, ["run", path, "--no-strict"])

    assert result.exit_code == exits.OK
    assert "warning: fake cannot honour what the spec sets" in result.stderr
    assert "training.seed" in result.stderr


def test_runs_lists_the_newest_first_and_can_be_narrowed(tmp_path: Path) -> None:
    first = started(tmp_path)
    call("wait", first)
    second = started(tmp_path, backend={"steps": 100_000})

    assert [run["id"] for run in json.loads(call("runs", "--json"))] == [second, first]
    assert first in call("runs", "--state", "succeeded")
    assert second not in call("runs", "--state", "succeeded")


def test_runs_without_a_run_says_how_to_begin() -> None:
    result = CliRunner().invoke(app, ["runs"])

    assert (result.exit_code, result.stdout) == (0, "")
    assert "tunekit init" in result.stderr
    assert json.loads(call("runs", "--json")) == []


def test_show_gives_state_plan_and_figures(tmp_path: Path) -> None:
    run_id = started(tmp_path, training={"seed": 7})
    call("wait", run_id)

    facts = json.loads(call("show", run_id, "--json"))
    assert facts["spec"]["training"] == {"seed": 7}
    assert facts["plan"]["request"]["training"]["seed"] == 7
    said = call("show", run_id)
    assert run_id in said
    assert "the answer" in said


def test_logs_are_the_events_of_a_run(tmp_path: Path) -> None:
    run_id = started(tmp_path, backend={"steps": 2})
    call("wait", run_id)

    lines = call("logs", run_id).splitlines()
    assert lines[0].endswith(f"job of {run_id} is waiting")
    assert "step 2: loss 1, " in call("logs", run_id)
    assert lines[-1].endswith("succeeded")
    assert call("logs", run_id, "--lines", "1").splitlines() == lines[-1:]


def test_logs_as_json_are_one_event_a_line(tmp_path: Path) -> None:
    run_id = started(tmp_path, backend={"steps": 2})
    call("wait", run_id)

    events = [json.loads(line) for line in call("logs", run_id, "--json").splitlines()]

    assert [event["step"] for event in events if "loss" in event.get("metrics", {})] == [1, 2]
    assert events[-1]["state"] == "succeeded"


def test_logs_follow_a_run_to_its_end_and_say_each_event_once(tmp_path: Path) -> None:
    run_id = started(tmp_path)

    lines = call("logs", run_id, "--follow", "--json").splitlines()

    assert lines == call("logs", run_id, "--json").splitlines()
    assert json.loads(lines[-1])["state"] == "succeeded"


def test_a_failed_run_can_be_resumed(tmp_path: Path) -> None:
    path = str(spec_file(tmp_path, backend={"outcome": "failed"}))
    call("run", path, code=exits.FAILED)
    run_id = json.loads(call("runs", "--json"))[0]["id"]

    assert json.loads(call("resume", run_id, "--json"))["state"] == "succeeded"


def test_a_run_that_is_over_can_be_cancelled_in_vain(tmp_path: Path) -> None:
    run_id = started(tmp_path)
    call("wait", run_id)

    assert f"{run_id} is over already: succeeded" in call("cancel", run_id)
    assert json.loads(call("cancel", run_id, "--json"))["state"] == "succeeded"


def test_a_run_is_found_by_its_name(tmp_path: Path) -> None:
    run_id = started(tmp_path, output={"name": "first-try"})

    assert json.loads(call("show", "first-try", "--json"))["id"] == run_id


def test_an_unknown_run_is_a_usage_error_that_names_the_list() -> None:
    result = CliRunner().invoke(app, ["show", "nobody"])

    assert result.exit_code == exits.USAGE
    assert "tunekit runs" in result.stderr


def test_schema_is_a_json_schema_with_the_backend() -> None:
    schema = json.loads(call("schema"))

    assert {"model", "data", "backend"} <= schema["properties"].keys()


def test_backends_tells_what_each_can_do() -> None:
    found = {entry["name"]: entry for entry in json.loads(call("backends", "--json"))}

    assert found["local"]["capabilities"]["resume"] is True
    assert found["local"]["problem"] == ""
    assert "local" in call("backends")


def test_the_version_is_that_of_the_package() -> None:
    assert call("--version").strip() == f"tunekit {tk.__version__}"


@pytest.mark.parametrize(
    "command",
    "run run-many plan runs show logs wait cancel resume schema init backends doctor".split(),
)
def test_every_command_has_help(command: str) -> None:
    assert "Usage: " in call(command, "--help")


def test_several_specs_are_trained_at_once_on_this_machine_only(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["run-many", str(spec_file(tmp_path))])
    assert result.exit_code == exits.REFUSED
    assert "backend: local, or tunekit.submit for each" in result.output
