"""The commands for data, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.data.reading import jsonl
from tests.tiny import tiny_tokenizer
from tunekit.cli.app import app

ROWS = [{"prompt": f"How many days are {n} weeks?", "completion": str(7 * n)} for n in range(80)]


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl(*ROWS))
    return path


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["data", *words])


def test_check_exits_with_2_where_a_run_would_refuse(rows: Path) -> None:
    assert run("check", "rows.jsonl").exit_code == 0
    rows.write_bytes(jsonl(*ROWS) + b"{oops\n")
    done = run("check", "rows.jsonl", "--json", "--issues", "issues.jsonl")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["counts"] == {"bad-json": 1}
    assert len(Path("issues.jsonl").read_text().splitlines()) == 1


def test_columns_can_be_named(rows: Path) -> None:
    rows.write_bytes(jsonl(*({"q": r["prompt"], "a": r["completion"]} for r in ROWS)))
    assert "unknown-format" in run("check", "rows.jsonl").stdout
    done = run("check", "rows.jsonl", "--map", "prompt=q", "--map", "completion=a")
    assert done.exit_code == 0
    assert "NAME=COLUMN" in run("check", "rows.jsonl", "--map", "prompt").stderr


def test_convert_split_and_stats_write_what_they_say(rows: Path) -> None:
    assert run("convert", "rows.jsonl", "together", "out.jsonl").exit_code == 0
    assert json.loads(Path("out.jsonl").read_text().splitlines()[0]) == ROWS[0]
    again = run("convert", "rows.jsonl", "together", "out.jsonl")
    assert (again.exit_code, "exists" in again.stderr) == (2, True)

    assert run("split", "rows.jsonl", "parts", "--validation", "0.25").exit_code == 0
    sides = [Path(f"parts/{name}.jsonl").read_text() for name in ("train", "validation")]
    train, held = (len(text.splitlines()) for text in sides)
    assert (train + held, 10 <= held <= 30) == (80, True)

    done = run("stats", "rows.jsonl", "--html", "stats.html")
    assert "80 completion rows" in done.stdout
    assert Path("stats.html").exists()


def test_check_and_stats_take_a_model(rows: Path) -> None:
    tiny_tokenizer().save_pretrained("model")
    done = run("check", "rows.jsonl", "--model", "model", "--max-length", "16", "--json")
    assert (done.exit_code, json.loads(done.stdout)["counts"]["too-long"]) == (2, 80)
    assert "(by the tokenizer of model)" in run("stats", "rows.jsonl", "--model", "model").stdout


def test_preview_shows_what_is_trained_on(rows: Path) -> None:
    tiny_tokenizer().save_pretrained("model")
    done = run("preview", "rows.jsonl", "--model", "model", "--rows", "1", "--html", "page.html")
    assert done.exit_code == 0, done.stderr
    assert "⟦0<|im_end|>⟧" in done.stdout
    assert Path("page.html").exists()
