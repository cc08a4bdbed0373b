"""The jobs of the loopback Together, driven by the official SDK and held against its types."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from together.types import (
    FileList,
    FileResponse,
    FinetuneModelLimits,
    FineTunePreviewResponse,
    FinetuneResponse,
    FineTuningCancelResponse,
    FineTuningDeleteResponse,
    FineTuningListCheckpointsResponse,
    FineTuningListEventsResponse,
    FineTuningListMetricsResponse,
    FineTuningListResponse,
)
from together.types import fine_tuning_estimate_price_response as estimates
from together.types.whoami_project_api_key import WhoamiProjectAPIKey

from tests.testing.together.client import (
    CHAT,
    MODEL,
    client,
    completed,
    created,
    uploaded,
    wire,
)
from tunekit.testing.providers.together import LoopbackTogether

pytestmark = pytest.mark.slow


def test_the_official_sdk_goes_all_the_way(server: LoopbackTogether, tmp_path: Path) -> None:
    held_out = uploaded(server, tmp_path, CHAT, name="held-out.jsonl")
    job_id = created(server, tmp_path, suffix="mark", validation_file=held_out, n_evals=2)
    sdk = client(server)

    states = [sdk.fine_tuning.retrieve(job_id).status for _ in range(6)]
    listed = sdk.fine_tuning.list().data
    events = [event.type for event in sdk.fine_tuning.list_events(job_id).data]
    metrics = sdk.fine_tuning.list_metrics(job_id).metrics or []
    archive = sdk.fine_tuning.content(ft_id=job_id, checkpoint="adapter").read()

    assert states == ["queued", "running", "compressing", "uploading", "completed", "completed"]
    assert [(job.id, job.suffix) for job in listed] == [(job_id, "mark")]
    assert events[0] == "job_pending"
    assert events[-1] == "job_complete"
    losses = [row["train/loss"] for row in metrics if "train/loss" in row]
    assert len(losses) == 4
    assert losses == sorted(losses, reverse=True)
    assert sum("eval/loss" in row for row in metrics) == 2
    assert (
        hashlib.sha256(archive).digest()
        == hashlib.sha256(server.results.archive(server.jobs[0]).content).digest()
    )
    assert [job.suffix for job in server.jobs] == ["mark"]


def test_a_job_can_go_on_from_the_model_of_another(
    server: LoopbackTogether, tmp_path: Path
) -> None:
    parent = completed(server, tmp_path)
    file_id = server.jobs[0].request["training_file"]

    client(server).fine_tuning.create(training_file=file_id, from_checkpoint=parent, verbose=False)

    assert [job.model for job in server.jobs] == [MODEL, MODEL]


def test_every_answer_of_a_job_is_of_the_sdks_types(
    server: LoopbackTogether, tmp_path: Path
) -> None:
    job_id = created(server, tmp_path, n_checkpoints=2)
    file_id = server.jobs[0].request["training_file"]
    one = f"/v1/fine-tunes/{job_id}"

    for _ in range(6):
        FinetuneResponse.model_validate(wire(server, "GET", one).json())
        FineTuningListResponse.model_validate(wire(server, "GET", "/v1/fine-tunes").json())
        found = wire(server, "GET", f"{one}/events").json()
        FineTuningListEventsResponse.model_validate(found)
        found = wire(server, "GET", f"{one}/checkpoints").json()
        FineTuningListCheckpointsResponse.model_validate(found)
        found = wire(server, "GET", f"{one}/metrics?resolution=2").json()
        FineTuningListMetricsResponse.model_validate(found)
    found = wire(server, "GET", f"/v1/fine-tunes/models/limits?model_name={MODEL}").json()
    FinetuneModelLimits.model_validate(found)
    told = {"model": MODEL, "training_file": file_id}
    found = wire(server, "POST", "/v1/fine-tunes/preview", told).json()
    FineTunePreviewResponse.model_validate(found)
    found = wire(server, "POST", "/v1/fine-tunes/estimate-price", told).json()
    estimates.AvailableEstimate.model_validate(found)
    FileList.model_validate(wire(server, "GET", "/v1/files").json())
    FileResponse.model_validate(wire(server, "GET", f"/v1/files/{file_id}").json())
    WhoamiProjectAPIKey.model_validate(wire(server, "GET", "/v3/whoami").json())
    FineTuningDeleteResponse.model_validate(wire(server, "DELETE", one).json())
    assert wire(server, "GET", one).status_code == 404


def test_a_cancelled_job_costs_the_steps_it_did(server: LoopbackTogether, tmp_path: Path) -> None:
    job_id = created(server, tmp_path)
    sdk = client(server)
    sdk.fine_tuning.retrieve(job_id)
    sdk.fine_tuning.retrieve(job_id)

    reply = wire(server, "POST", f"/v1/fine-tunes/{job_id}/cancel")
    FineTuningCancelResponse.model_validate(reply.json())
    over = sdk.fine_tuning.retrieve(job_id)

    assert reply.json()["status"] == "cancel_requested"
    assert over.status == "cancelled"
    assert over.total_price == 625_000_000
    assert wire(server, "POST", f"/v1/fine-tunes/{job_id}/cancel").status_code == 400


@pytest.mark.parametrize("outcome", ["error", "user_error"])
def test_a_job_can_be_told_to_fail(tmp_path: Path, outcome: Any) -> None:
    with LoopbackTogether(outcome=outcome, ticks=0) as server:
        job_id = created(server, tmp_path)

        assert wire(server, "GET", f"/v1/fine-tunes/{job_id}").json()["status"] == outcome
        assert server.jobs[0].events[-1]["type"] == "job_error"


def test_a_state_of_any_name_stays_as_it_was_set(server: LoopbackTogether, tmp_path: Path) -> None:
    job_id = created(server, tmp_path)
    server.set_state(job_id, "hibernating")

    found = {client(server).fine_tuning.retrieve(job_id).status for _ in range(3)}

    assert found == {"hibernating"}


def test_a_new_job_appears_in_the_list_late_if_told_so(tmp_path: Path) -> None:
    with LoopbackTogether(lag=2) as server:
        created(server, tmp_path)

        assert [len(client(server).fine_tuning.list().data) for _ in range(3)] == [0, 0, 1]


def test_a_state_can_last_several_looks(tmp_path: Path) -> None:
    with LoopbackTogether(ticks=3) as server:
        job_id = created(server, tmp_path)
        states = [client(server).fine_tuning.retrieve(job_id).status for _ in range(15)]

    waiting = ["pending"] * 2 + ["queued"] * 3 + ["running"] * 3
    assert states == [*waiting, *["compressing"] * 3, *["uploading"] * 3, "completed"]


@pytest.mark.slow
def test_the_learning_rate_is_that_of_transformers(
    server: LoopbackTogether, tmp_path: Path
) -> None:
    import torch
    from transformers import get_cosine_schedule_with_warmup

    completed(server, tmp_path, n_epochs=5, learning_rate=1e-3, warmup_ratio=0.2)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    schedule = get_cosine_schedule_with_warmup(optimizer, 4, 20)
    expected = []
    for _ in range(20):
        optimizer.step()
        schedule.step()
        expected.append(schedule.get_last_lr()[0])

    found = [row["train/learning_rate"] for row in server.jobs[0].metrics()]

    assert found == pytest.approx(expected, abs=1e-12)


def test_a_job_beyond_the_credit_is_not_begun(tmp_path: Path) -> None:
    with LoopbackTogether(price=101.0) as server:
        file_id = uploaded(server, tmp_path, CHAT)
        told = {"training_file": file_id, "model": MODEL}
        estimate = wire(server, "POST", "/v1/fine-tunes/estimate-price", told).json()

        assert estimate["allowed_to_proceed"] is False
        assert wire(server, "POST", "/v1/fine-tunes", told).status_code == 402


def test_a_fault_can_be_ordered_for_the_create_alone(
    server: LoopbackTogether, tmp_path: Path
) -> None:
    file_id = uploaded(server, tmp_path, CHAT)
    server.faults.order("POST /v1/fine-tunes$", "lost-after")
    told = {"training_file": file_id, "model": MODEL}

    assert wire(server, "POST", "/v1/fine-tunes/estimate-price", told).status_code == 200
    with pytest.raises(httpx.RemoteProtocolError):
        wire(server, "POST", "/v1/fine-tunes", told)

    assert len(server.jobs) == 1
    assert len(server.called("POST /v1/fine-tunes$")) == 1


def test_keys_and_tokens_are_never_repeated(server: LoopbackTogether, tmp_path: Path) -> None:
    job_id = completed(server, tmp_path, wandb_api_key="W-SECRET", hf_api_token="H-SECRET")

    told = [
        wire(server, "GET", path).text for path in ("/v1/fine-tunes", f"/v1/fine-tunes/{job_id}")
    ]

    assert "SECRET" not in "".join(told)
    assert server.jobs[0].request["wandb_key"] == "W-SECRET"
