"""Rows, requests and clients for the tests of the loopback Fireworks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import fireworks
import httpx

from tunekit.testing.providers.fireworks import LoopbackFireworks

BASE = "accounts/fireworks/models/qwen3-8b"
SFT, DPO = "supervisedFineTuningJobs", "dpoJobs"
CHAT = [
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": f"{n} + 1 ="},
            {"role": "assistant", "content": f"{n + 1}", "weight": 1},
        ]
    }
    for n in range(8)
]
PAIRS = [
    {
        "input": {"messages": [{"role": "user", "content": f"{n} + 1 ="}]},
        "preferred_output": [{"role": "assistant", "content": f"{n + 1}"}],
        "non_preferred_output": [{"role": "assistant", "content": "no"}],
    }
    for n in range(8)
]
JOB = {"dataset": "accounts/acme/datasets/ds", "baseModel": BASE}
DPO_JOB = {
    "dataset": "accounts/acme/datasets/ds",
    "trainingConfig": {"baseModel": BASE},
    "lossConfig": {"method": "DPO", "dpo": {"beta": 0.1}},
}


def sdk_of(server: LoopbackFireworks) -> fireworks.Fireworks:
    return fireworks.Fireworks(
        base_url=server.url,
        api_key="test-key",
        account_id="acme",
        max_retries=0,
        _strict_response_validation=True,
    )


def http_of(server: LoopbackFireworks) -> httpx.Client:
    headers = {"Authorization": "Bearer test-key"}
    return httpx.Client(base_url=f"{server.url}/v1/accounts/acme/", headers=headers)


def jsonl(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def ready(http: httpx.Client, rows: list[Any], name: str = "ds") -> None:
    dataset = {"userUploaded": {}, "exampleCount": str(len(rows)), "format": "CHAT"}
    http.post("datasets", json={"datasetId": name, "dataset": dataset}).raise_for_status()
    files = {"file": ("train.jsonl", jsonl(rows))}
    http.post(f"datasets/{name}:upload", files=files).raise_for_status()
    assert http.get(f"datasets/{name}").json()["state"] == "READY"


def create(http: httpx.Client, body: Mapping[str, Any], key: str = "tk-1") -> httpx.Response:
    if "lossConfig" in body or "trainingConfig" in body:
        return http.post(DPO, params={"dpoJobId": key}, json=body)
    return http.post(SFT, params={"supervisedFineTuningJobId": key}, json=body)


def finish(http: httpx.Client, address: str) -> dict[str, Any]:
    job: dict[str, Any] = {"state": "", "completedTime": None}
    while job.get("completedTime") is None:
        job = http.get(address).json()
    return job


def reason(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"code", "message", "details"}
    details = body["details"]
    return answer.status_code, details[0]["reason"] if details else ""
