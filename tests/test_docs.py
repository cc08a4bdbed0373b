"""Every code block of the README and the documentation does what it shows."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

import tunekit
from tests.fences import ROOT, Block, all_blocks, blocks
from tests.tiny import tiny_model
from tunekit import embedded
from tunekit.cli.app import app
from tunekit.cli.exits import MEANINGS
from tunekit.data.recognise import FORMATS
from tunekit.spec import document

CHECKED = {"python", "yaml", "bash", "json", "toml"}
OUTPUT = {"text"}
"""What a terminal shows, and drawings: nothing to run."""

NOT_RUN = ("pip install", "git clone")
"""The only commands that a page may leave out, with `<!-- not run: why -->` above the block."""

RUN_FOR_REAL = {"plan", "schema", "init", "backends", "doctor", "runs"}
"""Commands of tunekit that need no earlier run; the others are parsed."""

TRAINS = {"README.md", "docs/quickstart.md", "docs/adapter.md", "docs/many-adapters.md"}
"""Pages whose Python trains a model on this machine."""

PYTHON_PAGES = sorted({block.page for block in all_blocks("python")})


def name(block: Block) -> str:
    return str(block)


@pytest.fixture
def folder(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages speak of."""
    rows = (ROOT / "examples/data/support.jsonl").read_text(encoding="utf-8").splitlines()
    (tmp_path / "support.jsonl").write_text("\n".join(rows[:24]) + "\n", encoding="utf-8")
    (tmp_path / "unseen.jsonl").write_text("\n".join(rows[24:28]) + "\n", encoding="utf-8")
    pairs = [
        {"prompt": f"Is {n} even?", "chosen": str(n % 2 == 0), "rejected": str(n % 2 == 1)}
        for n in range(16)
    ]
    text = "".join(json.dumps(pair) + "\n" for pair in pairs)
    (tmp_path / "preferences.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "support.yaml").write_text(
        "model: embedded:smollm2-135m\ndata: support.jsonl\nmethod: lora\n", encoding="utf-8"
    )
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small_model(home: Path) -> Path:
    """A tiny model in the place of the embedded one, so that a page trains within seconds."""
    models = home / "models"
    models.unlink()
    models.mkdir()
    folder = tiny_model(models / "smollm2-135m")
    (folder / "conversion.json").write_text(json.dumps({"format": embedded.FORMAT}))
    return folder


def test_every_block_is_in_a_language_that_is_checked() -> None:
    strange = [f"{b} {b.language!r}" for b in all_blocks() if b.language not in CHECKED | OUTPUT]
    assert strange == []


def test_only_installations_are_left_out() -> None:
    left_out = [block for block in all_blocks() if not block.run]
    wrong = [str(b) for b in left_out if not any(command in b.text for command in NOT_RUN)]
    assert wrong == []


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow) if page in TRAINS else page
        for page in PYTHON_PAGES
    ],
)
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: str, folder: Path, small_model: Path
) -> None:
    # Each line keeps its number, so that a traceback points into the page.
    lines: list[str] = []
    for block in blocks(ROOT / page):
        if block.language == "python" and block.run:
            lines += [""] * (block.line - len(lines)) + block.text.splitlines()
    script = folder / Path(page).with_suffix(".py").name
    script.write_text("\n".join(lines), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{page}:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=name)
def test_yaml_is_a_spec_or_a_part_of_one(block: Block, folder: Path) -> None:
    text = block.text
    keys: dict[str, Any] = yaml.safe_load(text)
    for key, value in {"model": "embedded:smollm2-135m", "data": "support.jsonl"}.items():
        if key not in keys:
            text += f"\n{key}: {value}"
    (folder / "page.yaml").write_text(text, encoding="utf-8")
    assert tunekit.load("page.yaml").spec


@pytest.mark.parametrize("block", all_blocks("json"), ids=name)
def test_json_is_json(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize("block", all_blocks("toml"), ids=name)
def test_toml_is_toml(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", [b for b in all_blocks("bash") if b.run], ids=name)
def test_the_commands_of_a_block_exist_and_take_these_arguments(block: Block, folder: Path) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.partition(">")[0], comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if not words:
            continue
        program, *arguments = words
        if program == "make":
            _make(arguments)
        else:
            assert program == "tunekit", f"{block}: {line!r} is checked by nothing"
            _tunekit(arguments)


def _make(targets: list[str]) -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(targets) <= known


def _tunekit(arguments: list[str]) -> None:
    if arguments and arguments[0] in RUN_FOR_REAL:
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return
    group: Any = typer.main.get_command(app)
    name, *rest = arguments
    assert name in group.commands
    group.commands[name].make_context(name, rest)


def test_the_page_of_the_command_line_names_every_command_and_option() -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    group: Any = typer.main.get_command(app)
    for command, inner in group.commands.items():
        section = text.partition(f"## tunekit {command}\n")[2].partition("\n## ")[0]
        assert section, f"docs/cli.md has no section on {command}"
        commands = getattr(inner, "commands", {"": inner}).values()
        for parameter in (parameter for one in commands for parameter in one.params):
            if parameter.param_type_name == "option":
                assert f"`{parameter.opts[0]}" in section, f"{command}: {parameter.opts}"


def test_the_page_of_the_command_line_names_every_exit_code() -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert [code for code, means in MEANINGS.items() if f"| {code} | {means} |" not in text] == []


def test_the_page_of_the_data_names_every_format() -> None:
    text = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    assert [name for name in FORMATS if f"| `{name}` |" not in text] == []


def test_the_page_of_errors_names_every_error() -> None:
    text = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    kinds = [
        name
        for name, thing in vars(tunekit.errors).items()
        if isinstance(thing, type) and issubclass(thing, tunekit.TunekitError)
    ]
    assert [kind for kind in kinds if f"`{kind}`" not in text] == []


def test_the_published_schema_is_the_one_that_the_command_prints() -> None:
    published = json.loads((ROOT / "docs/tunekit.schema.json").read_text(encoding="utf-8"))
    assert published == document.schema(), "make generated writes it again"
