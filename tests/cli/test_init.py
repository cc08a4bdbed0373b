"""`tunekit init` writes a file that works as it stands and explains itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tunekit.cli.app import app
from tunekit.cli.template import commented
from tunekit.spec.document import load, loads
from tunekit.spec.finetune import FineTune


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_init_writes_loads_and_plans() -> None:
    cli = CliRunner()

    assert cli.invoke(app, ["init"]).exit_code == 0

    assert load("tunekit.yaml").backend == "local"
    result = cli.invoke(app, ["plan", "tunekit.yaml", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["model"] == "embedded:smollm2-135m"


def test_an_existing_file_stays_unless_forced() -> None:
    path = Path("mine.yaml")
    path.write_text("model: mine\n")
    cli = CliRunner()

    refused = cli.invoke(app, ["init", "mine.yaml"])

    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert path.read_text() == "model: mine\n"
    assert cli.invoke(app, ["init", "mine.yaml", "--force"]).exit_code == 0
    assert load(path).spec.model == "embedded:smollm2-135m"


def test_rows_that_are_there_are_never_replaced() -> None:
    rows = Path("train.jsonl")
    rows.write_text('{"prompt": "a", "completion": "b"}\n')

    CliRunner().invoke(app, ["init", "--force"])

    assert rows.read_text() == '{"prompt": "a", "completion": "b"}\n'


def test_every_default_can_be_uncommented_and_means_the_same() -> None:
    text = "\n".join(
        line.removeprefix("#: ").replace("#:   ", "  ") for line in commented().split("\n")
    )

    assert loads(text).spec.model_dump() == loads(commented()).spec.model_dump()
    assert loads(text).spec.minimal().keys() == FineTune.model_fields.keys()


def test_the_first_line_lets_editors_find_the_schema() -> None:
    first = commented().splitlines()[0]

    assert first == "# yaml-language-server: $schema=./tunekit.schema.json"


def test_no_line_is_too_wide_to_read() -> None:
    assert max(map(len, commented().splitlines())) <= 100
