"""A package of somebody else brings a backend: installed for real, found by name, in contract."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunekit.testing import BackendContract
from tunekit.testing.full import fields

SOURCE = Path(__file__).parent.parent / "plugin"

CONTRACT = """
from acme_tunekit import STATES, Acme
from tunekit.spec.finetune import FineTune
from tunekit.testing import BackendContract


class TestAcme(BackendContract):
    states = STATES
    failure = "power cut"
    refuses = frozenset({REFUSES})

    def make(self):
        return Acme()

    def spec(self):
        rows = [{"prompt": f"{n} + 1 =", "completion": str(n + 1)} for n in range(20)]
        return FineTune(model="org/a-model", data=rows)

    def failing(self):
        return Acme(power_cut=True), self.spec()
"""
REFUSES = {
    *(fields("method") - {"method.rank", "method.alpha"}),
    *(fields("objective") - {"objective.type", "objective.beta"}),
    "training.max_steps",
    "training.scheduler",
    "training.packing",
    "training.weight_decay",
    "training.max_grad_norm",
    "training.seed",
    "training.early_stopping",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the package with pip, offline, into a folder of its own."""
    source = tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(SOURCE, source)
    target = tmp_path_factory.mktemp("site")
    flags = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *flags, "--target", str(target), str(source)],
        check=True,
        capture_output=True,
        text=True,
    )
    yield target


def _call(site: Path, *command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": _path(site)},
        check=False,
    )


def _path(site: Path) -> str:
    return os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])


def test_an_installed_backend_is_listed(site: Path, tmp_path: Path) -> None:
    done = _call(site, "tunekit.cli.app", "backends", folder=tmp_path)

    assert "acme" in done.stdout, done.stderr
    assert "Train at Acme." in done.stdout


def test_an_installed_backend_is_used_by_its_name(site: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 2)
    (tmp_path / "spec.yaml").write_text("model: org/a-model\ndata: rows.jsonl\nbackend: acme\n")

    done = _call(site, "tunekit.cli.app", "run", "spec.yaml", folder=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stdout


def test_without_the_package_the_name_is_unknown(tmp_path: Path) -> None:
    done = _call(tmp_path, "tunekit.cli.app", "backends", folder=tmp_path)

    assert "acme" not in done.stdout


def test_an_installed_backend_passes_the_contract(site: Path, tmp_path: Path) -> None:
    test = tmp_path / "test_acme.py"
    test.write_text(CONTRACT.replace("{REFUSES}", repr(REFUSES)))

    done = _call(site, "pytest", "-q", "-p", "no:cacheprovider", str(test), folder=tmp_path)

    assert f"{BackendContract.COLLECTED} passed" in done.stdout, done.stdout
