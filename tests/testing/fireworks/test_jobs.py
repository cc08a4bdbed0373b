"""Jobs, files and faults of the loopback Fireworks, over plain HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.testing.fireworks.client import (
    BASE,
    CHAT,
    JOB,
    SFT,
    create,
    finish,
    http_of,
    ready,
    reason,
)
from tests.tiny import tiny_model
from tunekit.testing.providers.fireworks import LoopbackFireworks

pytestmark = pytest.mark.slow


# Jobs


def test_an_id_is_sold_once(http: httpx.Client, server: LoopbackFireworks) -> None:
    ready(http, CHAT)
    assert create(http, JOB).status_code == 200
    again = create(http, JOB)

    assert (again.status_code, again.json()["code"]) == (409, 6)
    assert len(server.jobs) == 1
    assert http.delete(f"{SFT}/tk-1").json() == {}
    assert http.get(f"{SFT}/tk-1").json()["code"] == 5
    assert [job.word for job in server.jobs] == ["DELETED"]


def test_an_estimate_buys_nothing(http: httpx.Client, server: LoopbackFireworks) -> None:
    ready(http, CHAT)
    answer = http.post(f"{server.url}/v1/accounts/acme/{SFT}:estimateCost", json=JOB).json()

    assert answer == {"estimatedCost": {"currencyCode": "USD", "units": "1", "nanos": 250_000_000}}
    assert server.jobs == []


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("FAILED", "INTERNAL"), ("EXPIRED", "INTERNAL"), ("EARLY_STOPPED", "OK"), ("COMPLETED", "OK")],
)
def test_a_job_ends_as_ordered(outcome: Any, code: str) -> None:
    with LoopbackFireworks(outcome=outcome, ticks=0) as server, http_of(server) as http:
        ready(http, CHAT)
        create(http, JOB)
        job = finish(http, f"{SFT}/tk-1")

        assert (job["state"], job["status"]["code"]) == (f"JOB_STATE_{outcome}", code)
        assert http.get("models/tk-1").is_success == (code == "OK")


def test_a_step_takes_as_many_looks_as_there_are_ticks() -> None:
    with LoopbackFireworks(ticks=3) as server, http_of(server) as http:
        server.settings.ticks = 0
        ready(http, CHAT)
        server.settings.ticks = 3
        create(http, JOB)
        states = [http.get(f"{SFT}/tk-1").json()["state"] for _ in range(6)]

    assert [state.removeprefix("JOB_STATE_") for state in states] == [
        *("CREATING", "CREATING", "PENDING", "PENDING", "PENDING", "VALIDATING")
    ]


def test_a_cancelled_job_may_end_by_itself_first(
    http: httpx.Client, server: LoopbackFireworks
) -> None:
    ready(http, CHAT)
    create(http, JOB)
    server.settings.cancel_wins = False
    http.post(f"{SFT}/tk-1:cancel", json={})

    assert finish(http, f"{SFT}/tk-1")["state"] == "JOB_STATE_COMPLETED"


def test_a_new_job_may_be_missing_from_lists_for_a_while(
    http: httpx.Client, server: LoopbackFireworks
) -> None:
    ready(http, CHAT)
    server.settings.list_lag = 2
    create(http, JOB)

    assert [http.get(SFT).json()["totalSize"] for _ in range(3)] == [0, 0, 1]
    assert http.get(f"{SFT}/tk-1").is_success


def test_a_job_tells_its_secrets_unless_told_not_to(
    http: httpx.Client, server: LoopbackFireworks
) -> None:
    ready(http, CHAT)
    create(http, JOB | {"wandbConfig": {"enabled": True, "apiKey": "SECRET"}})

    assert http.get(f"{SFT}/tk-1").json()["wandbConfig"]["apiKey"] == "SECRET"
    server.settings.echo_secrets = False
    assert http.get(f"{SFT}/tk-1").json()["wandbConfig"] == {"enabled": True}


def test_metrics_are_as_in_public_files_and_the_rate_is_as_scheduled(
    http: httpx.Client, server: LoopbackFireworks
) -> None:
    ready(http, CHAT)
    settings = {"batchSizeSamples": 2, "epochs": 2, "learningRate": 1e-3}
    schedule = {"learningRateWarmupSteps": 2, "lrScheduler": {"linear": {"minLrRatio": 0.1}}}
    create(http, JOB | settings | schedule | {"evalAutoCarveout": True})
    url = finish(http, f"{SFT}/tk-1")["metricsFileSignedUrl"]

    rows = [json.loads(line) for line in httpx.get(url).text.splitlines()]
    trained = [row for row in rows if "train/loss" in row]
    assert {"step", "train/step", "train/loss", "train/lr", "train/total_tokens"} <= set(trained[0])
    assert [row["step"] for row in trained] == list(range(1, 9))
    assert [row["step"] for row in rows if "eval/loss" in row] == [4, 8]
    # Half of the peak after the first of two warm-up steps; in the end the least ratio.
    rates = [row["train/lr"] for row in trained]
    assert rates[:2] == pytest.approx([5e-4, 1e-3])
    assert rates[4] == pytest.approx(1e-3 * (0.1 + 0.9 * 0.5))
    assert rates[7] == pytest.approx(1e-4)
    server.settings.nested_metrics = True
    old = json.loads(httpx.get(url).text.splitlines()[0])
    assert (set(old), old["data"]["train/loss"]) == (
        {"timestamp", "step", "data"},
        trained[0]["train/loss"],
    )


def test_a_model_of_another_job_can_be_trained_further(http: httpx.Client) -> None:
    ready(http, CHAT)
    create(http, JOB)
    finish(http, f"{SFT}/tk-1")
    further = {"dataset": JOB["dataset"], "warmStartFrom": "accounts/acme/models/tk-1"}
    assert create(http, further, "tk-2").status_code == 200
    finish(http, f"{SFT}/tk-2")

    assert http.get("models/tk-2").json()["peftDetails"]["baseModel"] == BASE


def test_a_model_may_be_unknown_or_unable() -> None:
    able = {"supervisedLoraTunable": False, "supervisedFullParameterTunable": True}
    models = frozenset({"qwen3-8b"})
    with LoopbackFireworks(models=models, capabilities=able) as server, http_of(server) as http:
        ready(http, CHAT)
        other = JOB | {"baseModel": "accounts/fireworks/models/other"}
        assert reason(create(http, other)) == (400, "BASE_MODEL_NOT_FOUND")
        assert reason(create(http, JOB)) == (400, "LORA_RANK_NOT_SUPPORTED")
        assert create(http, JOB | {"loraRank": 0}).status_code == 200
        finish(http, f"{SFT}/tk-1")
        files = http.get("models/tk-1:getDownloadEndpoint").json()["filenameToSignedUrls"]

    assert set(files) == {"config.json", "model.safetensors"}


# Keys, faults, downloads


@pytest.mark.parametrize("key", ["Bearer wrong", "test-key", ""])
def test_another_key_is_refused_as_a_grpc_gateway_does(
    key: str, http: httpx.Client, server: LoopbackFireworks
) -> None:
    answer = http.get(SFT, headers={"Authorization": key})

    assert (answer.status_code, answer.json()["code"]) == (401, 16)
    server.settings.key = "rotated"
    assert http.get(SFT).status_code == 401


def test_another_account_is_refused(http: httpx.Client, server: LoopbackFireworks) -> None:
    answer = http.get(f"{server.url}/v1/accounts/other/{SFT}")

    assert (answer.status_code, answer.json()["code"]) == (403, 7)


def test_a_lost_answer_leaves_a_job_that_the_id_finds(
    http: httpx.Client, server: LoopbackFireworks
) -> None:
    ready(http, CHAT)
    server.faults.order(f"POST /v1/accounts/acme/{SFT}", "lost-before", "lost-after")
    for count in (0, 1):
        with pytest.raises(httpx.RemoteProtocolError):
            create(http, JOB)
        assert len(server.jobs) == count

    assert create(http, JOB).status_code == 409
    assert http.get(f"{SFT}/tk-1").status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "code"), [("429", 429, 8), ("409", 409, 10), ("500-before", 500, 13)]
)
def test_refusals_to_order_have_the_shape_of_the_service(
    fault: Any, status: int, code: int, http: httpx.Client, server: LoopbackFireworks
) -> None:
    ready(http, CHAT)
    server.faults.order(f"POST /v1/accounts/acme/{SFT}", fault)
    answer = create(http, JOB)

    assert (answer.status_code, answer.json()["code"], server.jobs) == (status, code, [])


def test_a_deployment_may_have_to_scale_up_first(
    http: httpx.Client, server: LoopbackFireworks
) -> None:
    body = {"baseModel": BASE, "deploymentShape": "default"}
    http.post("deployments?deploymentId=dep", json=body)
    http.get("deployments/dep")
    server.settings.scaling_up = 2
    asked = {
        "model": "accounts/acme/deployments/dep",
        "messages": [{"role": "user", "content": "one two three"}],
        "max_tokens": 2,
    }
    chat = f"{server.url}/inference/v1/chat/completions"
    answers = [http.post(chat, json=asked) for _ in range(3)]

    assert [reason(answer) for answer in answers[:2]] == [(503, "DEPLOYMENT_SCALING_UP")] * 2
    choice = answers[2].json()["choices"][0]
    assert (choice["finish_reason"], len(choice["message"]["content"].split())) == ("length", 2)


def test_a_deployment_that_is_only_validated_is_not_rented(
    http: httpx.Client, server: LoopbackFireworks
) -> None:
    body = {"baseModel": BASE, "deploymentShape": "default"}
    quote = http.post("deployments?validateOnly=true", json=body).json()

    assert (quote["acceleratorCount"], dict(server.deployments)) == (1, {})
    assert reason(http.post("deployments", json={"baseModel": BASE})) == (
        400,
        "DEPLOYMENT_SHAPE_REQUIRED",
    )


def test_signed_addresses_serve_ranges_break_to_order_and_expire(
    http: httpx.Client, server: LoopbackFireworks
) -> None:
    ready(http, CHAT)
    create(http, JOB)
    finish(http, f"{SFT}/tk-1")
    endpoint = "models/tk-1:getDownloadEndpoint"
    url = http.get(endpoint).json()["filenameToSignedUrls"]["adapter_model.safetensors"]
    whole = httpx.get(url).content

    part = httpx.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole[10:20])
    server.downloads.order("cut", name="adapter_model.safetensors", at=7)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(url)
    assert http.get(url).status_code == 400
    assert len(server.leaks) == 1
    server.expire_links()
    assert httpx.get(url).status_code == 403
    again = http.get(endpoint).json()["filenameToSignedUrls"]["adapter_model.safetensors"]
    assert httpx.get(again).content == whole


def test_a_folder_given_is_served_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_bytes(b"not even JSON")
    (tmp_path / "evil.pkl").write_bytes(b"x")
    with LoopbackFireworks(adapter=tmp_path, ticks=0) as server, http_of(server) as http:
        ready(http, CHAT)
        create(http, JOB)
        finish(http, f"{SFT}/tk-1")
        urls = http.get("models/tk-1:getDownloadEndpoint").json()["filenameToSignedUrls"]

        assert {name: httpx.get(url).content for name, url in urls.items()} == {
            "adapter_config.json": b"not even JSON",
            "evil.pkl": b"x",
        }


@pytest.mark.slow
# PEFT asks transformers under a name that transformers is leaving behind.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_the_adapter_loads_into_the_base_it_was_made_for(tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base, adapter = tiny_model(tmp_path / "base"), tmp_path / "adapter"
    adapter.mkdir()
    with LoopbackFireworks(base=base, ticks=0) as server, http_of(server) as http:
        ready(http, CHAT)
        create(http, JOB | {"loraRank": 4})
        finish(http, f"{SFT}/tk-1")
        urls = http.get("models/tk-1:getDownloadEndpoint").json()["filenameToSignedUrls"]
        for name, url in urls.items():
            (adapter / name).write_bytes(httpx.get(url).content)

    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == (
        BASE
    )
    model = AutoModelForCausalLM.from_pretrained(base)
    ids = torch.tensor([[1, 2, 3]])
    before = model(ids).logits
    tuned = PeftModel.from_pretrained(model, adapter)
    assert tuned.peft_config["default"].r == 4
    assert not torch.equal(tuned(ids).logits, before)
