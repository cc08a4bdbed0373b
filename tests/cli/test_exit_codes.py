"""Every way a command can end has its own number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.cli.specs import spec_file
from tunekit import errors
from tunekit.cli import exits
from tunekit.cli.app import app

ENDINGS: dict[str, tuple[dict[str, Any], list[str], int]] = {
    "it succeeded": ({}, [], 0),
    "it failed": ({"outcome": "failed"}, [], 1),
    "the spec is wrong": ({}, ["--set", "training.epoch=3"], 2),
    "an option is wrong": ({}, ["--colour"], 2),
    "a setting cannot be had": ({"refuses": ["training.seed"]}, ["--set", "training.seed=7"], 3),
    "no backend has this name": ({}, ["--backend", "locla"], 3),
    "the time is up": ({"steps": 100_000}, ["--timeout", "0"], 5),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_run_ends_with_the_documented_code(ending: str, tmp_path: Path) -> None:
    backend, arguments, code = ENDINGS[ending]

    result = CliRunner().invoke(app, ["run", str(spec_file(tmp_path, backend=backend)), *arguments])

    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output


def test_a_cancelled_run_ends_with_its_code(tmp_path: Path) -> None:
    cli = CliRunner()
    path = spec_file(tmp_path, backend={"steps": 100_000})
    run_id = cli.invoke(app, ["run", str(path), "--detach"]).stdout.splitlines()[-1]

    assert cli.invoke(app, ["cancel", run_id]).exit_code == exits.OK

    result = cli.invoke(app, ["wait", run_id])
    assert result.exit_code == exits.CANCELLED
    assert f"tunekit resume {run_id}" in result.stderr


ERRORS = {
    errors.DataError("rows"): 2,
    errors.MissingExtra("package"): 3,
    errors.RequestRejected("no"): 3,
    errors.BackendDown("silence"): 3,
    errors.SubmissionUnknown("perhaps"): 3,
    errors.CredentialsError("key"): 4,
    errors.QuotaError("money"): 4,
    errors.Diverged("nan"): 1,
    errors.RunBusy("two"): 2,
    errors.AdapterError("pickle"): 1,
}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_has_the_documented_code(error: errors.TunekitError) -> None:
    assert exits.code(error) == ERRORS[error]


def test_a_state_that_does_not_exist_is_a_usage_error() -> None:
    result = CliRunner().invoke(app, ["runs", "--state", "done"])

    assert result.exit_code == exits.USAGE
    assert "succeeded" in result.stderr


def test_the_codes_are_part_of_the_help() -> None:
    text = " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())

    for code in (0, 1, 2, 3, 4, 5, 6, 70, 130):
        assert str(code) in text
        assert code in exits.MEANINGS


@pytest.mark.parametrize("debug", [False, True])
def test_a_fault_of_ours_is_an_apology_and_a_traceback_on_request(
    debug: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **settings: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("tunekit.cli.start.load", broken)

    arguments = ["--debug"] if debug else []
    result = CliRunner().invoke(app, [*arguments, "plan", str(spec_file(tmp_path))])

    assert result.exit_code == exits.INTERNAL
    assert "a fault in tunekit: ZeroDivisionError: by zero" in result.stderr
    assert "TUNEKIT_DEBUG=1" in result.stderr
    assert ("Traceback" in result.stderr) is debug


def test_an_error_keeps_escape_sequences_from_the_terminal(tmp_path: Path) -> None:
    path = spec_file(
        tmp_path, backend={"outcome": "failed", "reason": "\x1b]0;owned\x07\x1b[2Jred"}
    )

    result = CliRunner().invoke(app, ["run", str(path)])

    assert result.exit_code == exits.FAILED
    assert "\x1b" not in result.output
    assert "red" in result.stderr
