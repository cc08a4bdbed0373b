"""Reports from a run that lives: at its end, from Python, and from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tunekit as tk
from tests.cli.specs import spec_file
from tests.report import made
from tests.report.pages import parsed, words
from tunekit.cli import exits
from tunekit.cli.app import app
from tunekit.testing import FakeBackend

ROWS = [{"prompt": f"{n} + 1 =", "completion": f" {n + 1}"} for n in range(20)]


def call(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.stdout


def run(**settings: Any) -> tk.Run:
    return tk.submit(tk.FineTune(model="org/a-model", data=ROWS, **settings), FakeBackend())


def test_a_run_that_is_over_has_a_report_and_says_where() -> None:
    done = run().wait()

    page = done.folder / "report.html"
    said = words(parsed(page.read_text()))
    assert "Held-out loss went from 2.00 to 1.00 nats/token" in said
    assert str(page) in str(done)
    assert page.as_uri() in done._repr_html_()
    assert page.stat().st_mode & 0o777 == 0o600


def test_a_run_that_goes_on_has_none_until_it_is_asked_for() -> None:
    going = run()
    assert not (going.folder / "report.html").exists()

    page = going.report()

    assert page == going.folder / "report.html"
    assert words(parsed(page.read_text())).startswith("Fine-tuning run")
    assert "Queued" in page.read_text()


def test_a_failed_run_has_a_report_with_its_reason() -> None:
    failed = tk.submit(
        tk.FineTune(model="org/a-model", data=ROWS),
        FakeBackend(outcome="failed", reason="the disk is full"),
    )
    with pytest.raises(tk.errors.RunFailed):
        failed.wait()

    assert "Failed the disk is full" in words(parsed((failed.folder / "report.html").read_text()))


def test_a_report_that_cannot_be_written_costs_a_warning_and_not_the_run() -> None:
    going = run()
    (going.folder / "report.html").mkdir()

    with pytest.warns(UserWarning, match="its report could not be written") as caught:
        assert going.wait().state is tk.JobState.SUCCEEDED

    assert len(caught) == 1


def test_a_report_can_be_written_anywhere(tmp_path: Path) -> None:
    done = run().wait()

    assert done.report(tmp_path / "mine.html") == tmp_path / "mine.html"
    page = (tmp_path / "mine.html").read_text()
    assert page.partition("<footer>")[0] == done.report().read_text().partition("<footer>")[0]


def test_report_prints_where_the_page_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = run().wait(), run(training={"seed": 7}).wait()
    monkeypatch.chdir(tmp_path)

    assert call("report", first.id).strip() == str(first.folder / "report.html")
    assert json.loads(call("report", first.id, "--json", "-o", "a.html")) == {"report": "a.html"}
    assert Path(call("report", first.id, second.id).strip()) == Path("comparison.html")
    said = words(parsed(Path("comparison.html").read_text()))
    assert "2 runs compared" in said
    assert "training.seed 42 7" in said


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    done = run().wait()

    result = CliRunner().invoke(app, ["report", done.id, "-o", str(tmp_path / "no" / "page.html")])

    assert result.exit_code == exits.USAGE
    assert "cannot be written: No such file or directory" in result.stderr


def test_the_report_of_no_run_is_a_usage_error() -> None:
    assert "no run 'nobody'" in CliRunner().invoke(app, ["report", "nobody"]).stderr
    call("report", code=exits.USAGE)


def test_compare_shows_verdicts_figures_and_what_differs() -> None:
    hot = {**made.record("x").spec, "training": {"learning_rate": 2e-2}}
    made.run("one")
    made.run("two", spec=hot)

    said = call("compare", "one", "two")
    rows = [" ".join(line.split()) for line in said.splitlines()]

    assert rows[0] == "one two"
    assert "Outcome Improved Improved" in rows
    assert "Forgetting warn warn" in rows
    assert any(row.startswith("Held-out loss 2.31 → 0.61 (\u22121.81 to") for row in rows)
    assert "training.learning_rate 0.001 0.02" in rows
    assert not any(row.startswith("model ") for row in rows)
    told = json.loads(call("compare", "one", "two", "--json"))
    assert [each["outcome"] for each in told["runs"]] == ["Improved", "Improved"]
    assert told["settings"]["training.learning_rate"] == ["0.001", "0.02"]


def test_compare_wants_two_runs() -> None:
    made.run("one")

    call("compare", "one", code=exits.USAGE)


def test_run_from_the_command_line_ends_with_the_report(tmp_path: Path) -> None:
    last = call("run", str(spec_file(tmp_path))).splitlines()[-2:]

    assert last[0].split()[0] == "report"
    assert Path(last[0].split()[1]).is_file()
    assert last[1].startswith("next")
