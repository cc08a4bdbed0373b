"""`tunekit doctor` names what is in the way, and the fix."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tunekit.cli import doctor
from tunekit.cli.app import app


def findings(*arguments: str, code: int = 0) -> dict[str, dict[str, str]]:
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    assert result.exit_code == code, result.output
    return {finding["name"]: finding for finding in json.loads(result.stdout)}


def test_a_good_installation_passes_and_names_versions_device_and_threads() -> None:
    found = findings()

    for name in ("python", "torch", "transformers", "trl", "peft", "device", "threads", "home"):
        assert found[name]["level"] == "ok", found[name]
    assert found["torch"]["text"][0].isdigit()


def test_the_report_for_people_has_one_line_a_finding() -> None:
    result = CliRunner().invoke(app, ["doctor"])

    assert result.stdout.startswith("ok   python        3.")


def test_a_missing_package_fails_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_NEEDED", ("torch", "a-package-that-nobody-has"))

    found = findings(code=1)["a-package-that-nobody-has"]

    assert found["level"] == "fail"
    assert "pip install --upgrade 'tunekit-sdk[local]'" in found["fix"]


def test_an_old_package_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "minimums", lambda: {"trl": "999.0"})

    assert "older than 999.0" in findings(code=1)["trl"]["text"]


def test_the_oldest_versions_come_from_the_package_itself() -> None:
    assert doctor.minimums().keys() >= {"torch", "transformers", "trl", "peft", "bitsandbytes"}


def test_a_home_that_cannot_be_written_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("TUNEKIT_HOME", str(blocked / "home"))

    found = findings(code=1)["home"]

    assert "TUNEKIT_HOME" in found["fix"]


def test_an_interpreter_without_unsloth_fails_with_its_pip_line() -> None:
    found = findings("--python", sys.executable, code=1)["unsloth"]

    assert "lacks" in found["text"]
    assert found["fix"] == f"{sys.executable} -m pip install 'tunekit-sdk[unsloth]'"


def test_an_interpreter_that_is_none_fails(tmp_path: Path) -> None:
    found = findings("--python", str(tmp_path / "python"), code=1)["unsloth"]

    assert "cannot be asked" in found["text"]
