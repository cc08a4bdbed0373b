"""The trackers themselves: what they stored, read back by their own tools."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tunekit.testing import FakeBackend

pytestmark = [
    pytest.mark.trackers,
    # What these packages warn of among themselves is not ours to mend.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SPEC = tk.FineTune(
    model="org/a-model",
    data=[{"prompt": f"{n} + 1 =", "completion": f" {n + 1}"} for n in range(40)],
    training={"learning_rate": 1e-3},
    output={"name": "addition"},
)
STEPS = 5
LOSSES = {step: 2.0 - step / STEPS for step in range(1, STEPS + 1)}
"""What the fake backend measures."""
SECRET = "f0" * 20
"""A key in the form that wandb takes."""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let each tracker write here, and nothing ask for a network."""
    settings = {
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_TRACKING_URI": (tmp_path / "mlruns").as_uri(),
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "WANDB_API_KEY": SECRET,
        "WANDB_DIR": str(tmp_path),
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def in_two_processes(tracker: str) -> tk.Run:
    """Follow the beginning here, give up, and let another process follow the rest."""
    run = tk.submit(SPEC, FakeBackend(steps=STEPS), trackers=[tracker])
    for event in run.events():
        if getattr(event, "step", 0) == 2:
            break
    run._trackers.close(tk.get(run.id)._record)
    code = f"import tunekit; print(tunekit.get({run.id!r}).wait().state)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split()[-1]) == (0, "succeeded"), done.stderr
    assert "no longer followed" not in done.stderr
    return tk.get(run.id)


def test_tensorboard_reads_every_step_from_the_run_folder() -> None:
    run = in_two_processes("tensorboard")

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    read = EventAccumulator(str(run.folder / "tensorboard"))
    read.Reload()
    points = {e.step: float(make_ndarray(e.tensor_proto)) for e in read.Tensors("train/loss")}
    assert points == pytest.approx(LOSSES)
    (figure,) = read.Tensors("evaluation/loss/tuned")
    assert figure.step == STEPS
    assert "torch" not in sys.modules


def test_mlflow_has_one_run_with_settings_steps_and_end() -> None:
    run = in_two_processes("mlflow")

    from mlflow import MlflowClient

    client = MlflowClient()
    (experiment,) = (e for e in client.search_experiments() if e.name == "tunekit")
    (found,) = client.search_runs([experiment.experiment_id])
    points = client.get_metric_history(found.info.run_id, "train/loss")
    assert {point.step: point.value for point in points} == pytest.approx(LOSSES)
    assert all(point.timestamp > 1e12 for point in points)
    assert found.data.params["training.learning_rate"] == "0.001"
    assert found.data.tags["tunekit.run"] == run.id
    assert (found.info.status, found.info.run_name) == ("FINISHED", "addition")


def test_trackio_has_one_run_with_every_step(places: Path) -> None:
    run = in_two_processes("trackio")

    with contextlib.closing(sqlite3.connect(places / "trackio" / "tunekit.db")) as database:
        rows = database.execute("select run_name, step, metrics from metrics").fetchall()
    told = [(step, json.loads(metrics)) for _, step, metrics in rows]
    losses = {step: each["train/loss"] for step, each in told if "train/loss" in each}
    assert {name for name, _, _ in rows} == {run.id}
    assert losses == pytest.approx(LOSSES)


def test_wandb_has_one_run_with_every_step(places: Path) -> None:
    run = in_two_processes("wandb")

    records = [
        each
        for file in sorted(places.glob("wandb/offline-run-*/*.wandb"))
        for each in _records(file)
    ]
    assert {each.run.run_id for each in records if each.HasField("run")} == {run.id}
    told: dict[int, float] = {}
    for each in records:
        if each.HasField("history"):
            items = {i.key or i.nested_key[0]: json.loads(i.value_json) for i in each.history.item}
            if "train/loss" in items:
                told[int(items["_step"])] = items["train/loss"]
    assert told == pytest.approx(LOSSES)
    assert [each.exit.exit_code for each in records if each.HasField("exit")] == [0, 0]


def _records(file: Path) -> Iterator[Any]:
    """Read what wandb wrote: seven bytes of its own, then LevelDB's log format, whole records."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at = file.read_bytes(), 7
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        assert kind == 1, "a record is cut over blocks of 32 KiB"
        record = Record()
        record.ParseFromString(data[at + 7 : at + 7 + length])
        at += 7 + length
        yield record


def test_wandb_without_a_key_is_told_once_and_asks_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    run = tk.submit(SPEC, FakeBackend(), trackers=["wandb"])

    # wandb reads its settings once in a process.
    code = f"import tunekit; print(tunekit.get({run.id!r}).wait().state)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)

    assert done.stdout.split() == ["succeeded"], done.stderr
    assert done.stderr.count("there is no key of Weights & Biases") == 1


@pytest.mark.parametrize("tracker", ["tensorboard", "mlflow", "trackio", "wandb"])
def test_no_key_gets_into_the_run_folder(tracker: str) -> None:
    run = tk.run(SPEC, FakeBackend(), trackers=[tracker], progress=False)

    files = [path for path in run.folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_a_server_that_does_not_answer_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.warns(UserWarning, match="is no longer followed by mlflow") as caught:
        run = tk.run(SPEC, FakeBackend(), trackers=["mlflow"], progress=False)

    assert run.state is tk.JobState.SUCCEEDED
    assert len(caught) == 1
