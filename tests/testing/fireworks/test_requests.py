"""What the loopback Fireworks refuses, and how it says so."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.testing.fireworks.client import (
    BASE,
    CHAT,
    DPO,
    DPO_JOB,
    JOB,
    PAIRS,
    SFT,
    create,
    finish,
    jsonl,
    ready,
    reason,
)
from tunekit.testing.providers.fireworks import LoopbackFireworks

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"batchSize": 32768}, "BATCH_SIZE_NOT_SUPPORTED"),
        ({"gradientAccumulationSteps": 2}, "GRADIENT_ACCUMULATION_STEPS_NOT_SUPPORTED"),
        ({"earlyStop": True}, "EARLY_STOP_NOT_SUPPORTED"),
        ({"jinjaTemplate": "{{ x }}"}, "JINJA_TEMPLATE_NOT_SUPPORTED"),
        ({"seed": 1}, "SEED_UNKNOWN"),
        ({"wandbConfig": {"key": "x"}}, "WANDB_CONFIG_KEY_UNKNOWN"),
        ({"epochs": 2.5}, "EPOCHS_INVALID"),
        ({"epochs": True}, "EPOCHS_INVALID"),
        ({"learningRate": "1e-4"}, "LEARNING_RATE_INVALID"),
        ({"region": "MOON_1"}, "REGION_INVALID"),
        ({"region": ["US_IOWA_1"]}, "REGION_INVALID"),
        ({"loraRank": 12}, "LORA_RANK_INVALID"),
        ({"loraRank": 64}, "LORA_RANK_INVALID"),
        ({"loraRank": 0}, "LORA_RANK_NOT_SUPPORTED"),
        ({"maxContextLength": 1000}, "MAX_CONTEXT_LENGTH_INVALID"),
        ({"maxContextLength": 65536}, "MAX_CONTEXT_LENGTH_TOO_LONG"),
        ({"warmStartFrom": BASE}, "BASE_MODEL_INVALID"),
        ({"baseModel": ""}, "BASE_MODEL_INVALID"),
        ({"baseModel": "qwen3-8b"}, "BASE_MODEL_NOT_FOUND"),
        ({"dataset": "ds"}, "DATASET_NOT_FOUND"),
        ({"lrScheduler": {}}, "LR_SCHEDULER_INVALID"),
        ({"lrScheduler": {"linear": {}, "constant": {}}}, "LR_SCHEDULER_INVALID"),
        ({"outputModel": "Mine"}, "OUTPUT_MODEL_INVALID"),
    ],
    ids=str,
)
def test_a_supervised_job_is_refused_with_the_field_as_the_reason(
    change: dict[str, Any], why: str, http: httpx.Client, server: LoopbackFireworks
) -> None:
    ready(http, CHAT)

    assert reason(create(http, JOB | change)) == (400, why)
    assert server.jobs == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"lossConfig": {}}, "LOSS_CONFIG_METHOD_REQUIRED"),
        ({"lossConfig": {"method": "GRPO"}}, "LOSS_CONFIG_METHOD_INVALID"),
        ({"lossConfig": {"method": "DPO", "dpo": {"beta": 0.5}}}, "LOSS_CONFIG_DPO_BETA_INVALID"),
        ({"lossConfig": {"method": "DPO", "dpo": {"beta": 0}}}, "LOSS_CONFIG_DPO_BETA_INVALID"),
        (
            {"trainingConfig": {"baseModel": BASE, "batchSize": 1}},
            "TRAINING_CONFIG_BATCH_SIZE_NOT_SUPPORTED",
        ),
        (
            {"trainingConfig": {"baseModel": BASE, "loraRank": 3}},
            "TRAINING_CONFIG_LORA_RANK_INVALID",
        ),
        ({"epochs": 1}, "EPOCHS_UNKNOWN"),
    ],
    ids=str,
)
def test_a_preference_job_is_refused_with_the_field_as_the_reason(
    change: dict[str, Any], why: str, http: httpx.Client
) -> None:
    ready(http, PAIRS)

    assert reason(create(http, DPO_JOB | change)) == (400, why)


def test_a_preference_job_may_be_orpo_with_what_only_the_documents_know(http: httpx.Client) -> None:
    ready(http, PAIRS)
    extras = {"loraAlpha": 64, "loraTargetModules": ["q_proj"], "lrScheduler": {"linear": {}}}
    body = DPO_JOB | {
        "trainingConfig": {"baseModel": BASE, **extras},
        "lossConfig": {"method": "ORPO", "orpo": {"lambda": 0.2}},
    }
    assert create(http, body).status_code == 200
    finish(http, f"{DPO}/tk-1")

    urls = http.get("models/tk-1:getDownloadEndpoint").json()["filenameToSignedUrls"]
    config = httpx.get(urls["adapter_config.json"]).json()
    assert (config["lora_alpha"], config["target_modules"]) == (64, ["q_proj"])


# Datasets


def test_a_large_file_goes_to_a_signed_address_without_the_key(
    http: httpx.Client, server: LoopbackFireworks
) -> None:
    rows = jsonl(CHAT)
    http.post("datasets", json={"datasetId": "ds", "dataset": {"exampleCount": "8"}})
    sizes = {"filenameToSize": {"a.jsonl": str(len(rows))}}
    url = http.post("datasets/ds:getUploadEndpoint", json=sizes).json()["filenameToSignedUrls"]
    signed = {
        "Content-Type": "application/octet-stream",
        "X-Goog-Content-Length-Range": f"{len(rows)},{len(rows)}",
    }
    assert http.post("datasets/ds:validateUpload", json={}).status_code == 400
    assert httpx.put(url["a.jsonl"], content=rows).status_code == 403
    assert http.put(url["a.jsonl"], content=rows, headers=signed).status_code == 400
    assert [request.method for request in server.leaks] == ["PUT"]
    assert httpx.put(url["a.jsonl"], content=rows, headers=signed).status_code == 200
    assert http.get("datasets/ds").json()["state"] == "UPLOADING"
    assert http.post("datasets/ds:validateUpload", json={}).json() == {}
    assert http.get("datasets/ds").json()["state"] == "READY"


def test_asking_for_addresses_again_replaces_the_files_registered_before(
    http: httpx.Client, server: LoopbackFireworks
) -> None:
    http.post("datasets", json={"datasetId": "ds", "dataset": {"exampleCount": "8"}})
    address = "datasets/ds:getUploadEndpoint"
    first = http.post(address, json={"filenameToSize": {"a.jsonl": "3"}}).json()
    http.post(address, json={"filenameToSize": {"b.jsonl": "3"}})
    signed = {
        "Content-Type": "application/octet-stream",
        "X-Goog-Content-Length-Range": "3,3",
    }
    url = first["filenameToSignedUrls"]["a.jsonl"]

    assert httpx.put(url, content=b"abc", headers=signed).status_code == 403
    assert server.datasets["ds"].registered == {"b.jsonl": 3}


def _with_last(role: str) -> dict[str, Any]:
    messages = CHAT[0]["messages"][:-1]
    return {"messages": [*messages, {"role": role, "content": "x"}]}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (CHAT[:2], "2 examples"),
        ([*CHAT, {"messages": []}], "line 9"),
        ([*CHAT, {"text": "x"}], "line 9"),
        ([*CHAT, ["x"]], "line 9: not an object"),
        ([*CHAT, _with_last("user")], "user follows user"),
        ([*CHAT, _with_last("system")], "a system message is not the first"),
        ([*CHAT, _with_last("critic")], "role is 'critic'"),
        ([*CHAT, {"messages": CHAT[0]["messages"][:2]}], "the last message"),
        ([*CHAT, CHAT[0] | {"weight": 2.0}], "on all rows or on none"),
        ([CHAT[0] | {"weight": "2"}] * 3, "weight is not a number"),
        ([*CHAT, *PAIRS], "in one dataset"),
        ([{"messages": [{"role": "assistant", "tool_calls": ["f"]}]}] * 3, "there is no function"),
        ([PAIRS[0] | {"preferred_output": []}] * 3, "preferred_output"),
        ([PAIRS[0] | {"input": {"messages": CHAT[0]["messages"]}}] * 3, "a single turn"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rows_that_nothing_can_be_learnt_from_are_refused(
    rows: list[Any], said: str, http: httpx.Client
) -> None:
    http.post("datasets", json={"datasetId": "ds", "dataset": {"exampleCount": "9"}})
    answer = http.post("datasets/ds:upload", files={"file": ("train.jsonl", jsonl(rows))})

    assert reason(answer) == (400, "DATASET_INVALID")
    assert said in answer.json()["message"]
    dataset = http.get("datasets/ds").json()
    assert (dataset["state"], dataset["status"]["code"]) == ("UPLOADING", "INVALID_ARGUMENT")


def test_negative_weights_and_calls_of_tools_are_fine(http: httpx.Client) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "1", "tool_call_id": "c"},
        {"role": "assistant", "content": "y"},
    ]
    ready(http, [{"messages": turns, "weight": -0.5}] * 3)


def test_preference_rows_fail_a_supervised_job_while_they_are_read(http: httpx.Client) -> None:
    ready(http, PAIRS)
    create(http, JOB)
    job = finish(http, f"{SFT}/tk-1")

    assert (job["state"], job["status"]["code"]) == ("JOB_STATE_FAILED", "INVALID_ARGUMENT")
