"""Whatever goes wrong in the worker ends as one typed error that says what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tunekit as tk
from tests.local.specs import chats, small
from tunekit import errors

pytestmark = pytest.mark.slow

LONG = {"max_steps": 400, "checkpoint_steps": 20}
"""Long enough to be still at it when the test has seen the first checkpoints."""


def _saved_state(run: tk.Run) -> str:
    return json.loads((run.folder / "run.json").read_text())["state"]


def _first_loss(run: tk.Run) -> None:
    """Wait until the worker has trained a step."""
    for event in run.events():
        if event.kind == "metrics" and "loss" in event.metrics:
            return
    raise AssertionError(f"the run ended first: {run.log()}")


def _kill(run: tk.Run) -> None:
    worker = json.loads((run.folder / "job" / "worker.json").read_text())
    os.kill(worker["pid"], signal.SIGKILL)


def test_a_killed_worker_is_a_failed_run_that_resumes_to_the_same_losses(tmp_path: Path) -> None:
    spec = small(tmp_path, training=LONG, method={"type": "lora", "dropout": 0.1})
    whole = tk.run(spec, progress=False)
    run = tk.submit(spec)
    for event in run.events():
        if event.kind == "checkpoint" and event.step >= 40:
            break
    _kill(run)

    with pytest.raises(errors.RunFailed, match="killed by SIGKILL") as caught:
        run.wait(timeout=60)

    assert f"tunekit resume {run.id}" in str(caught.value)
    assert _saved_state(run) == "failed"
    run.resume().wait(timeout=120)
    assert _losses(run) == _losses(whole)
    assert (run.folder / "adapter" / "adapter_model.safetensors").read_bytes() == (
        whole.folder / "adapter" / "adapter_model.safetensors"
    ).read_bytes()


def test_a_worker_that_is_told_to_stop_saves_its_state_first(tmp_path: Path) -> None:
    run = tk.submit(small(tmp_path, training={**LONG, "checkpoint_steps": 1000}))
    _first_loss(run)
    worker = json.loads((run.folder / "job" / "worker.json").read_text())

    os.kill(worker["pid"], signal.SIGTERM)

    with pytest.raises(errors.RunFailed, match=r"interrupted by SIGTERM after step \d+; its state"):
        run.wait(timeout=60)
    run.resume().wait(timeout=120)
    assert sorted(_losses(run)) == list(range(1, 401))


def _losses(run: tk.Run) -> dict[int, float]:
    """Give the last loss reported for each step."""
    return {
        event.step: event.metrics["loss"]
        for event in run.events(follow=False)
        if event.kind == "metrics" and "loss" in event.metrics
    }


def test_a_damaged_checkpoint_is_passed_over_for_an_older_one(tmp_path: Path) -> None:
    spec = small(tmp_path, training=LONG)
    run = tk.submit(spec)
    for event in run.events():
        if event.kind == "checkpoint" and event.step >= 60:
            break
    _kill(run)
    with pytest.raises(errors.RunFailed):
        run.wait(timeout=60)
    newest = max(
        (run.folder / "job" / "checkpoints").glob("checkpoint-*/MANIFEST.json"),
        key=lambda path: int(path.parent.name.partition("-")[2]),
    ).parent
    (newest / "optimizer.pt").write_bytes(b"cut short")

    run.resume().wait(timeout=120)

    resumed = [
        e.message for e in run.events(follow=False) if e.kind == "log" and "resuming" in e.message
    ]
    assert resumed and newest.name not in resumed[-1]


def test_a_worker_out_of_memory_says_which_settings_to_lower(tmp_path: Path) -> None:
    small(tmp_path)
    script = f"""
import resource
from pathlib import Path
from tests.local.specs import WORDS, small
import tunekit as tk
rows = [{{"prompt": str(n), "completion": " ".join(WORDS * 7)}} for n in range(2048)]
spec = small(Path({str(tmp_path)!r}), data=rows, training={{"batch_size": 2048}},
             extra={{"local": {{"trainer": {{"per_device_train_batch_size": 2048,
                                             "gradient_accumulation_steps": 1}}}}}})
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
try:
    tk.run(spec, progress=False)
except tk.TunekitError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("RunFailed")
    assert "memory" in done.stdout
    assert "training.max_length" in done.stdout
    assert [run.state for run in tk.runs()] == [tk.JobState.FAILED]


def test_broken_weights_name_the_model_and_the_way_out(tmp_path: Path) -> None:
    spec = small(tmp_path)
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    run = tk.submit(spec)

    with pytest.raises(errors.RunFailed, match="cannot be loaded") as caught:
        run.wait(timeout=120)

    assert "download the model again" in str(caught.value)
    assert _saved_state(run) == "failed"


def test_an_empty_dataset_is_refused_before_anything_starts(tmp_path: Path) -> None:
    data = tmp_path / "empty.jsonl"
    data.write_text("")

    with pytest.raises(errors.DataError, match=r"empty\.jsonl"):
        tk.run(small(tmp_path, data=data), progress=False)

    assert tk.runs() == []


def test_rows_that_lose_every_answer_to_truncation_fail_the_run(tmp_path: Path) -> None:
    rows = chats(8)
    rows[5]["messages"][0]["content"] = "river " * 400
    run = tk.submit(small(tmp_path, data=rows, training={"max_length": 64}))

    with pytest.raises(errors.RunFailed, match="no-trained-token"):
        run.wait(timeout=120)

    assert _saved_state(run) == "failed"


def test_a_template_that_does_not_train_the_end_of_a_turn_fails_the_run(tmp_path: Path) -> None:
    spec = small(tmp_path)
    (tmp_path / "model" / "chat_template.jinja").write_text(
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{% if message['role'] == 'assistant' %}"
        "{% generation %}{{ message['content'] }}{% endgeneration %}"
        "{% else %}{{ message['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    run = tk.submit(spec)

    with pytest.raises(errors.RunFailed, match="end-of-turn-not-trained") as caught:
        run.wait(timeout=120)

    assert "endgeneration" in str(caught.value)


def test_a_loss_that_is_not_a_number_ends_the_run_as_diverged(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    spec = small(tmp_path)
    path = tmp_path / "model" / "model.safetensors"
    weights = load_file(path)
    weights["model.norm.weight"][:] = float("nan")
    save_file(weights, path, metadata={"format": "pt"})
    run = tk.submit(spec)

    with pytest.raises(errors.Diverged, match=r"at step 1; lower training\.learning_rate"):
        run.wait(timeout=120)

    assert not (run.folder / "adapter").exists()


def test_an_unknown_native_setting_fails_with_its_name(tmp_path: Path) -> None:
    spec = small(tmp_path, extra={"local": {"trainer": {"optimm": "sgd"}}})

    with pytest.raises(errors.RunFailed, match="optimm"):
        tk.run(spec, progress=False)
