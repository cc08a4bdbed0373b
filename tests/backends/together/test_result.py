"""The way home: the adapter of a job at Together is a PEFT adapter here."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.backends.together.specs import bought, questions, spec
from tests.tiny import tiny_model
from tunekit import errors
from tunekit.backends.backend import JobId
from tunekit.backends.together.backend import Together
from tunekit.backends.together.job import recalled
from tunekit.testing.providers.archive import ArchiveKind
from tunekit.testing.providers.together import LoopbackTogether


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"))


def done(server: LoopbackTogether, **fields: Any) -> tuple[Together, JobId]:
    backend = Together(base_url=server.url, max_cost=math.inf)
    bought(server, backend, spec(**fields))
    job_id = JobId(server.jobs[-1].id)
    while not backend.poll(job_id, None).state.terminal:
        pass
    return backend, job_id


def empty(folder: Path) -> Path:
    into = folder / "result"
    into.mkdir()
    return into


@pytest.mark.slow
@pytest.mark.parametrize("archive", ["tar.zst", "tar.gz"])
@pytest.mark.parametrize("redirect", [None, 302])
def test_the_adapter_loads_over_its_base(
    base: Path, archive: ArchiveKind, redirect: int | None
) -> None:
    with LoopbackTogether(base=base, archive=archive, redirect=redirect) as server:
        backend = Together(base_url=server.url, max_cost=math.inf, model_name="org/tiny")
        run = tk.run(
            tk.FineTune(
                model=str(base),
                data=questions(),
                method=tk.LoRA(rank=4, alpha=8, target_modules=("q_proj", "v_proj")),
                evaluation={"enabled": False},
            ),
            backend,
            progress=False,
        )

    assert run.hosted.startswith("acme/tiny-")
    assert run.used["base_model"] == "org/tiny"
    tuned = run.adapter.load()
    config = tuned.peft_config["default"]
    assert (config.r, config.lora_alpha) == (4, 8)
    assert config.target_modules == {"q_proj", "v_proj"}
    assert config.base_model_name_or_path == str(base)
    assert not list(run.folder.glob("*download*"))


def test_a_base_that_together_calls_by_another_name_is_called_by_ours(
    server: LoopbackTogether, backend: Together
) -> None:
    wanted = spec(model="meta-llama/Llama-3.1-8B-Instruct", evaluation={"enabled": False})

    run = tk.run(wanted, backend, progress=False)

    assert run.used["base_model"] == "meta-llama/Meta-Llama-3.1-8B-Instruct-Reference"
    config = json.loads((run.adapter.folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "meta-llama/Llama-3.1-8B-Instruct"


def test_a_model_that_was_trained_in_full_comes_as_a_folder(tmp_path: Path) -> None:
    with LoopbackTogether() as server:
        backend, job_id = done(server, method="full")
        into = empty(tmp_path)

        backend.fetch(job_id, into)

    assert (into / "model.safetensors").exists()
    assert not (into / "adapter_config.json").exists()


def test_a_job_that_is_not_done_has_no_result(
    server: LoopbackTogether, backend: Together, tmp_path: Path
) -> None:
    bought(server, backend, spec())

    with pytest.raises(errors.BackendError, match="no result"):
        backend.fetch(JobId(server.jobs[0].id), empty(tmp_path))


def test_a_connection_that_breaks_goes_on_where_it_broke(tmp_path: Path) -> None:
    with LoopbackTogether() as server:
        backend, job_id = done(server)
        server.break_download("cut", "cut")

        backend.fetch(job_id, empty(tmp_path))

        ranges = [each.headers.get("range") for each in server.called("GET /v1/finetune/download")]
    assert ranges[0] is None
    assert all(ranges[1:])
    assert len(ranges) == 3


def test_something_else_than_an_archive_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with LoopbackTogether() as server:
        backend, job_id = done(server)
        server.break_download("changed", becomes=b"no archive" * 100)
        into = empty(tmp_path)

        with pytest.raises(errors.AdapterError):
            backend.fetch(job_id, into)

    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert not list(into.iterdir())


def test_a_job_made_elsewhere_becomes_a_run(
    server: LoopbackTogether, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = {"type": "lora", "rank": 16, "alpha": 24, "target_modules": ["q_proj", "v_proj"]}
    training = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-4, "scheduler": "linear"}
    _, job_id = done(server, method=method, training=training)
    monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
    monkeypatch.setenv("TUNEKIT_HOME", str(tk.get(tk.runs()[0].id).folder.parent.parent / "other"))

    run = tk.attach(f"together:{job_id}")

    assert run.state is tk.JobState.SUCCEEDED
    assert run.spec.model == "Qwen/Qwen3-8B"
    assert run.spec.method == tk.LoRA(rank=16, alpha=24, target_modules=("q_proj", "v_proj"))
    assert run.spec.training.learning_rate == 1e-4
    assert run.spec.training.scheduler == "linear"
    assert run.adapter.folder.is_dir()


@pytest.mark.parametrize(
    ("method", "objective"),
    [
        ({"method": "sft", "train_on_inputs": True}, tk.SFT(train_on="all")),
        ({"method": "sft", "train_on_inputs": "auto"}, tk.SFT()),
        ({"method": "dpo", "dpo_beta": 0.2, "rpo_alpha": 0.5}, tk.DPO(beta=0.2, sft_weight=0.5)),
        ({"method": "dpo", "dpo_beta": 2.0, "simpo_gamma": 1.5}, tk.SimPO(beta=2.0, gamma=1.5)),
    ],
    ids=str,
)
def test_the_objective_of_a_job_is_read_back(method: dict[str, Any], objective: Any) -> None:
    told = {"model": "Qwen/Qwen3-8B", "training_file": "file-1", "training_method": method}

    assert tk.FineTune(**recalled(told).spec).objective == objective


def test_what_a_job_went_on_from_is_read_back() -> None:
    told = {"model": "Qwen/Qwen3-8B", "training_file": "file-1", "from_checkpoint": "ft-1:40"}

    assert tk.FineTune(**recalled(told).spec).start_from == "together:ft-1:40"
