"""Adapters that are trained at once over one base are those that are trained alone."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import tunekit as tk
from tests.local.specs import WORDS, chats, losses, small
from tunekit.backends.local import mixer
from tunekit.backends.local.fast.mixed import Asked, Mixed
from tunekit.testing import FakeBackend

TENANTS: list[dict[str, Any]] = [
    {"data": chats(40), "training": {"max_steps": 12, "seed": 3}},
    {
        "data": chats(30, seed=1, longest=30),
        "method": {
            "type": "lora",
            "rank": 8,
            "alpha": 8.0,
            "target_modules": ["q_proj", "up_proj"],
        },
        "training": {"max_steps": 7, "batch_size": 6, "learning_rate": 3e-3, "seed": 5},
    },
    {
        "data": chats(24, seed=2),
        "method": {"type": "lora", "rank": 2, "dropout": 0.2},
        "training": {"max_steps": 9, "batch_size": 2, "scheduler": "cosine"},
    },
]


def weights(run: tk.Run) -> dict[str, torch.Tensor]:
    return load_file(run.folder / "adapter" / "adapter_model.safetensors")


def equal(
    found: tk.Run, alone: tk.Run, *, losses_within: float = 1e-5, weights_within: float = 1e-5
) -> None:
    assert found.state is tk.JobState.SUCCEEDED, found.reason
    assert losses(found) == pytest.approx(losses(alone), abs=losses_within)
    assert len(losses(alone)) > 3
    torch.testing.assert_close(weights(found), weights(alone), rtol=0, atol=weights_within)


def count_shares(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many tenants each pass has, which goes on as it would."""
    counts: list[int] = []
    before = Mixed.together

    def noted(self: Mixed, asked: Sequence[Asked]) -> Any:
        counts.append(len(asked))
        return before(self, asked)

    monkeypatch.setattr(Mixed, "together", noted)
    return counts


IN_PROCESS = tk.Local(in_process=True)


@pytest.mark.slow
def test_each_is_what_it_is_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [small(tmp_path, **changes) for changes in TENANTS]
    alone = [tk.run(spec, IN_PROCESS, progress=False) for spec in specs]
    counts = count_shares(monkeypatch)
    monkeypatch.setattr(mixer, "TOKENS", 4096)
    found = tk.run_many(specs, IN_PROCESS, progress=False)
    # As those with fewer steps come to their ends.
    assert counts == [3] * 7 + [2] * 2 + [1] * 3
    for one, other in zip(found, alone, strict=True):
        equal(one, other)


@pytest.mark.long
@pytest.mark.slow
def test_a_pass_holds_so_many_tokens_and_results_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [small(tmp_path, data=chats(20, seed=seed)) for seed in range(3)]
    counts = count_shares(monkeypatch)
    found: list[list[tk.Run]] = []
    for tokens in (4096, 1):
        monkeypatch.setattr(mixer, "TOKENS", tokens)
        found.append(tk.run_many(specs, IN_PROCESS, progress=False))
    assert counts == [3] * 10 + [1] * 30
    for one, other in zip(*found, strict=True):
        equal(one, other)


@pytest.mark.slow
def test_fifty_steps_with_the_measurements_are_what_they_are_alone(tmp_path: Path) -> None:
    measured = {"forgetting": True, "overfitting": False, "max_new_tokens": 4, "generations": 2}
    specs = [
        small(
            tmp_path,
            data=chats(48, seed=seed, longest=longest),
            validation=0.2,
            evaluation={"enabled": True, **measured},
            training={"max_steps": 50, "checkpoint_steps": 20, "learning_rate": 3e-3},
        )
        for seed, longest in ((0, 10), (1, 25))
    ]
    alone = [tk.run(spec, IN_PROCESS, progress=False) for spec in specs]
    found = tk.run_many(specs, IN_PROCESS, progress=False)
    for one, other in zip(found, alone, strict=True):
        assert len(losses(other)) == 50
        assert max(losses(other)) - min(losses(other)) > 0.05  # a flat line would prove nothing
        equal(one, other, losses_within=1e-4, weights_within=1e-3)
        ours, theirs = one.evaluation, other.evaluation
        assert ours is not None and theirs is not None
        assert ours.base.loss == pytest.approx(theirs.base.loss, abs=1e-6)
        assert ours.tuned.loss == pytest.approx(theirs.tuned.loss, abs=1e-4)
        assert ours.tuned.answers == theirs.tuned.answers
        assert ours.forgetting is not None and theirs.forgetting is not None


PAIRS = [
    {"prompt": f"{number} {word}", "chosen": f" {word} {number}", "rejected": f" {number} stone"}
    for number, word in enumerate(WORDS * 2)
]
OTHERS: dict[str, dict[str, Any]] = {
    "portions of a batch": {"data": chats(80, longest=40), "training": {"batch_size": 40}},
    "packed rows": {"training": {"packing": True, "max_length": 256, "batch_size": 2}},
    "DPO": {"data": PAIRS, "objective": "dpo"},
    "KTO": {"data": PAIRS, "objective": "kto"},
    "LoRA+": {"method": {"type": "lora", "rank": 4, "lr_ratio": 8.0}},
    "recomputation": {"training": {"gradient_checkpointing": True}},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "DPO" else pytest.mark.long) for name in OTHERS],
)
def test_another_kind_beside_a_plain_one_is_what_it_is_alone(tmp_path: Path, name: str) -> None:
    specs = [small(tmp_path, **OTHERS[name]), small(tmp_path)]
    alone = [tk.run(spec, IN_PROCESS, progress=False) for spec in specs]
    found = tk.run_many(specs, IN_PROCESS, progress=False)
    for one, other in zip(found, alone, strict=True):
        equal(one, other, weights_within=1e-4)


@pytest.mark.slow
def test_each_is_compared_with_the_adapter_that_it_goes_on_from(tmp_path: Path) -> None:
    hot = {"learning_rate": 1e-2, "max_steps": 4}
    begun = [
        tk.run(small(tmp_path, data=chats(20, seed=seed), training=hot), IN_PROCESS, progress=False)
        for seed in range(2)
    ]
    specs = [small(tmp_path, data=PAIRS, objective="dpo", start_from=run.id) for run in begun]
    alone = [tk.run(spec, IN_PROCESS, progress=False) for spec in specs]
    found = tk.run_many(specs, IN_PROCESS, progress=False)
    for one, other in zip(found, alone, strict=True):
        assert losses(one)[0] == pytest.approx(math.log(2), abs=1e-5)
        equal(one, other)


@pytest.mark.slow
def test_over_a_quantised_base_each_is_what_it_is_alone(tmp_path: Path) -> None:
    specs = [
        small(tmp_path, method={"type": "qlora", "rank": rank}, data=chats(30, seed=rank))
        for rank in (2, 4)
    ]
    alone = [tk.run(spec, IN_PROCESS, progress=False) for spec in specs]
    found = tk.run_many(specs, IN_PROCESS, progress=False)
    for one, other in zip(found, alone, strict=True):
        equal(one, other, weights_within=1e-4)


@pytest.mark.slow
def test_one_that_diverges_fails_alone(tmp_path: Path) -> None:
    wild = {"local": {"trainer": {"learning_rate": 1e30}}}
    specs = [small(tmp_path, extra=wild), small(tmp_path)]
    expected = tk.run(specs[1], IN_PROCESS, progress=False)
    failed, found = tk.run_many(specs, IN_PROCESS, progress=False)
    assert failed.state is tk.JobState.FAILED
    assert "the loss is nan" in failed.reason
    with pytest.raises(tk.errors.Diverged):
        failed.wait()
    equal(found, expected)


@pytest.mark.slow
def test_one_whose_rows_are_lost_fails_alone_before_the_first_step(tmp_path: Path) -> None:
    specs = [small(tmp_path), small(tmp_path, data=chats(20, seed=4))]
    local = Losing(in_process=True)
    expected = tk.run(specs[1], IN_PROCESS, progress=False)
    failed, found = tk.run_many(specs, local, progress=False)
    assert failed.state is tk.JobState.FAILED
    assert "train.jsonl" in failed.reason
    equal(found, expected)


@dataclass(frozen=True, kw_only=True)
class Losing(tk.Local):
    """Loses the rows of the first job."""

    def submit_many(self, plans: Any, files: Any, keys: Any) -> list[tk.JobId]:
        files[0].train.unlink()
        return super().submit_many(plans, files, keys)


@pytest.mark.slow
def test_in_a_process_of_its_own_one_is_cancelled_and_taken_up_again(tmp_path: Path) -> None:
    steps = {"max_steps": 400, "checkpoint_steps": 400}
    specs = [small(tmp_path, training=steps), small(tmp_path, training={"max_steps": 30})]
    heard: list[tuple[str, str]] = []

    def cancel(run: tk.Run, event: tk.Event) -> None:
        heard.append((run.id, event.kind))
        if event.kind == "metrics" and event.step == 5 and run.spec.training.max_steps == 400:
            run.cancel()

    first, second = tk.run_many(specs, on_event=cancel, progress=False)
    assert first.state is tk.JobState.CANCELLED
    assert second.state is tk.JobState.SUCCEEDED
    assert {key for key, _ in heard} == {first.id, second.id}
    assert second.adapter.load(device="cpu") is not None
    assert "2 trainings" in "".join(e.message for e in first.events(False) if e.kind == "log")
    done = len(losses(first))
    assert 5 <= done < 400
    again = first.resume()
    for event in again.events():
        if event.kind == "metrics" and event.step >= done + 5:
            again.cancel()
    assert f"resuming from checkpoint-{done}" in [
        event.message for event in again.events(False) if event.kind == "log"
    ]


@pytest.mark.slow
def test_a_process_that_is_told_to_end_saves_all(tmp_path: Path) -> None:
    steps = {"max_steps": 2000, "checkpoint_steps": 2000}
    specs = [small(tmp_path, training=steps), small(tmp_path, training=steps)]
    told: list[int] = []

    def end(run: tk.Run, event: tk.Event) -> None:
        if event.kind == "metrics" and event.step == 3 and not told:
            told.append(json.loads((run.folder / "job" / "worker.json").read_bytes())["pid"])
            os.kill(told[0], signal.SIGTERM)

    for run in tk.run_many(specs, on_event=end, progress=False):
        assert run.state is tk.JobState.FAILED
        assert "interrupted by SIGTERM after step" in run.reason
        assert "checkpoint" in {event.kind for event in run.events(follow=False)}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another dtype": (
        {"training": {"dtype": "bfloat16"}},
        "specs[1].training.dtype: bfloat16, and specs[0] has float32; adapters that are trained at "
        "once share one base",
    ),
    "a quantised base": (
        {"method": {"type": "qlora", "rank": 4}},
        "specs[1].method: a quantised base, and specs[0] has a base that is not quantised; "
        "adapters that are trained at once share one base",
    ),
    "another method": (
        {"method": "ia3"},
        "specs[1].method: several adapters are trained at once by our passes only, and they train "
        "LoRA and QLoRA, not ia3; train it alone, with tunekit.run",
    ),
    "DoRA": (
        {"method": {"type": "lora", "use_dora": True}},
        "specs[1].method: several adapters are trained at once by our passes only, and DoRA scales "
        "the base's weights as well; train it alone, with tunekit.run",
    ),
    "an init that changes the base": (
        {"method": {"type": "lora", "init": "pissa"}},
        "specs[1].method.init: pissa changes the base, which the others share; train it alone, "
        "with tunekit.run",
    ),
    "a sweep": (
        {"training": {"learning_rate": "sweep"}, "validation": 0.2},
        "specs[1].training.learning_rate: a sweep trains a model of its own for each rate; write a "
        "rate, or train it alone, with tunekit.run",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_share_a_base_is_refused_before_anything_starts(
    tmp_path: Path, home: Path, name: str
) -> None:
    changes, text = REFUSED[name]
    with pytest.raises(tk.errors.UnsupportedError) as refused:
        tk.run_many([small(tmp_path), small(tmp_path, **changes)], progress=False)
    assert str(refused.value) == text
    assert not list(home.glob("runs/*"))


def test_another_model_is_refused(tmp_path: Path) -> None:
    specs = [small(tmp_path / name) for name in ("one", "two")]
    with pytest.raises(tk.errors.UnsupportedError, match=r"specs\[1\]\.model: .*two.*one"):
        tk.run_many(specs, progress=False)


def test_the_reference_and_other_backends_train_one_at_a_time(tmp_path: Path) -> None:
    spec = small(tmp_path)
    with pytest.raises(tk.errors.UnsupportedError, match="leave kernels at auto"):
        tk.run_many([spec], tk.Local(kernels="reference"), progress=False)
    with pytest.raises(tk.errors.UnsupportedError, match="fake trains each adapter by itself"):
        tk.run_many([spec], FakeBackend(), progress=False)
    with pytest.raises(tk.errors.SpecError, match="specs: there is none"):
        tk.run_many([], progress=False)


def test_two_results_do_not_want_one_folder(tmp_path: Path) -> None:
    specs = [small(tmp_path, output={"folder": str(tmp_path / "result")}) for _ in range(2)]
    with pytest.raises(tk.errors.SpecError, match=r"specs\[1\]\.output\.folder: .*specs\[0\]"):
        tk.run_many(specs, progress=False)


def test_files_name_the_backend_and_have_to_agree(tmp_path: Path) -> None:
    small(tmp_path)
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, chats(20))) + "\n")
    files = [tmp_path / f"{name}.yaml" for name in ("together", "local")]
    for file in files:
        file.write_text(f"model: {tmp_path / 'model'}\ndata: rows.jsonl\nbackend: {file.stem}\n")
    with pytest.raises(tk.errors.SpecError, match="different backends"):
        tk.run_many(files, progress=False)
    with pytest.raises(tk.errors.UnsupportedError, match="this machine only"):
        tk.run_many(files[:1], progress=False)
