"""The loopback Fireworks beside the vendor's SDK: its client, its types, its parameters."""

from __future__ import annotations

import importlib
import json
import typing
from typing import Any, get_args, get_origin

import fireworks
import httpx
import pytest
from fireworks.training.sdk.fireworks_client import FireworksClient
from fireworks.types import Dataset, Deployment, DpoJob, Model, SupervisedFineTuningJob
from fireworks.types.shared import DeployedModel
from typing_extensions import get_type_hints, is_typeddict

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
)
from tunekit.testing.providers import fireworks_tables as tables
from tunekit.testing.providers.fireworks import LoopbackFireworks
from tunekit.testing.providers.fireworks_jobs import STATES

pytestmark = pytest.mark.slow


# The SDK's own client


def test_the_sdk_registers_uploads_and_sees_a_dataset_become_ready(
    sdk: fireworks.Fireworks, server: LoopbackFireworks
) -> None:
    made = sdk.datasets.create(dataset_id="ds", dataset={"example_count": "8", "format": "CHAT"})
    told = sdk.datasets.upload("ds", file=("train.jsonl", jsonl(CHAT)))

    assert (made.state, told.filename) == ("UPLOADING", "train.jsonl")
    assert sdk.datasets.get("ds").state == "READY"
    assert server.datasets["ds"].files == {"train.jsonl": jsonl(CHAT)}
    with pytest.raises(fireworks.ConflictError):
        sdk.datasets.create(dataset_id="ds", dataset={"example_count": "8"})


def test_the_sdk_leads_a_supervised_job_to_its_model(
    sdk: fireworks.Fireworks, http: httpx.Client, server: LoopbackFireworks
) -> None:
    ready(http, CHAT)
    job = sdk.supervised_fine_tuning_jobs.create(
        dataset="accounts/acme/datasets/ds",
        supervised_fine_tuning_job_id="tk-1",
        base_model=BASE,
        lora_rank=16,
        batch_size_samples=2,
        epochs=2,
        learning_rate=1e-4,
        max_context_length=4096,
        extra_body={"lrScheduler": {"cosine": {"minLrRatio": 0.1}}},
    )
    states = [job.state]
    while states[-1] != "JOB_STATE_COMPLETED":
        states.append(sdk.supervised_fine_tuning_jobs.get("tk-1").state)

    assert [str(state).removeprefix("JOB_STATE_") for state in states] == [
        *("CREATING", "PENDING", "VALIDATING", "RUNNING", "WRITING_RESULTS", "COMPLETED")
    ]
    assert (job.estimated_cost.units, job.estimated_cost.nanos) == ("1", 250_000_000)
    model = sdk.models.get("tk-1")
    assert (model.kind, model.state) == ("HF_PEFT_ADDON", "READY")
    assert (model.peft_details.base_model, model.peft_details.r) == (BASE, 16)
    assert set(sdk.models.get_download_endpoint("tk-1").filename_to_signed_urls) == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert [record.id for record in server.jobs] == ["tk-1"]


def test_the_sdk_cancels_and_resumes(sdk: fireworks.Fireworks, http: httpx.Client) -> None:
    ready(http, CHAT)
    jobs = sdk.supervised_fine_tuning_jobs
    jobs.create(dataset=JOB["dataset"], supervised_fine_tuning_job_id="tk-1", base_model=BASE)

    assert jobs.cancel("tk-1", body={}) == {}
    assert jobs.get("tk-1").state == "JOB_STATE_CANCELLED"
    with pytest.raises(fireworks.BadRequestError, match="already CANCELLED"):
        jobs.cancel("tk-1", body={})
    assert jobs.resume("tk-1", body={}).state == "JOB_STATE_CREATING"


def test_the_sdk_pages_through_all_jobs_newest_first(
    sdk: fireworks.Fireworks, http: httpx.Client
) -> None:
    ready(http, CHAT)
    for number in range(5):
        assert create(http, JOB, f"tk-{number}").status_code == 200

    names = [job.name for job in sdk.supervised_fine_tuning_jobs.list(page_size=2)]

    assert names == [f"accounts/acme/{SFT}/tk-{number}" for number in (4, 3, 2, 1, 0)]


def test_the_sdk_trains_on_preferences_and_finds_the_metrics(
    sdk: fireworks.Fireworks, http: httpx.Client
) -> None:
    ready(http, PAIRS)
    sdk.dpo_jobs.create(
        dataset=JOB["dataset"],
        dpo_job_id="tk-dpo",
        training_config={"base_model": BASE, "epochs": 1, "batch_size_samples": 4},
        loss_config={"method": "DPO", "dpo": {"beta": 0.1}},
    )
    while sdk.dpo_jobs.get("tk-dpo").state != "JOB_STATE_COMPLETED":
        pass

    url = sdk.dpo_jobs.get_metrics_file_endpoint("tk-dpo").signed_url
    rows = [json.loads(line) for line in httpx.get(url).text.splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert sdk.models.get("tk-dpo").state == "READY"


def test_the_sdk_deploys_loads_and_chats(sdk: fireworks.Fireworks, http: httpx.Client) -> None:
    ready(http, CHAT)
    create(http, JOB)
    finish(http, f"{SFT}/tk-1")
    made = sdk.deployments.create(
        base_model=BASE, deployment_id="dep", deployment_shape="default", enable_addons=True
    )
    assert (made.state, sdk.deployments.get("dep").state) == ("CREATING", "READY")

    model, deployment = "accounts/acme/models/tk-1", "accounts/acme/deployments/dep"
    loaded = sdk.lora.load(model=model, deployment=deployment)
    key = loaded.name.rpartition("/")[2]
    assert (loaded.state, sdk.lora.get(key).state) == ("DEPLOYING", "DEPLOYED")

    asked = [{"role": "user", "content": "5 + 1 ="}]
    answers = [
        sdk.chat.completions.create(model=f"{model}#{deployment}", messages=asked) for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert answers[0].choices[0].message.content.endswith("5 + 1 =")
    with pytest.raises(fireworks.NotFoundError):
        sdk.chat.completions.create(model=model, messages=asked)
    with pytest.raises(fireworks.BadRequestError, match="ignoreChecks"):
        sdk.deployments.delete("dep")
    sdk.deployments.delete("dep", ignore_checks=True)
    assert sdk.deployments.get("dep").state == "DELETED"


def test_the_training_sdk_lists_and_promotes_checkpoints(
    server: LoopbackFireworks, sdk: fireworks.Fireworks, http: httpx.Client
) -> None:
    ready(http, CHAT)
    create(http, JOB | {"batchSizeSamples": 2, "samplerCheckpointSaveIntervalSteps": 3})
    finish(http, f"{SFT}/tk-1")
    client = FireworksClient(api_key="test-key", base_url=server.url)

    rows = client.list_training_job_checkpoints(f"accounts/acme/{SFT}/tk-1", page_size=1)
    assert [row["name"].rpartition("/")[2] for row in rows] == ["step-3", "step-4"]
    promoted = client.promote_training_job_checkpoint(rows[0]["name"], "early", BASE)
    assert promoted["name"] == "accounts/acme/models/early"
    assert sdk.models.get("early").state == "READY"


def test_every_answer_has_the_published_types(http: httpx.Client) -> None:
    ready(http, CHAT)
    ready(http, PAIRS, "pairs")
    secret = {"wandbConfig": {"enabled": True, "apiKey": "W", "project": "p"}}
    answers: list[tuple[Any, httpx.Response]] = [(Dataset, http.get("datasets/ds"))]
    answers.append((SupervisedFineTuningJob, create(http, JOB | secret)))
    pairs = DPO_JOB | {"dataset": "accounts/acme/datasets/pairs"}
    answers.append((DpoJob, create(http, pairs | secret, "tk-2")))
    finish(http, f"{SFT}/tk-1")
    answers.append((SupervisedFineTuningJob, http.get(f"{SFT}/tk-1")))
    answers.append((DpoJob, http.get(f"{DPO}/tk-2")))
    house = str(http.base_url).replace("/acme/", "/fireworks/")
    answers.append((Model, http.get(f"{house}models/qwen3-8b")))
    answers.append((Model, http.get("models/tk-1")))
    body = {"baseModel": BASE, "deploymentShape": "default", "enableAddons": True}
    answers.append((Deployment, http.post("deployments?deploymentId=dep", json=body)))
    load = {"model": "accounts/acme/models/tk-1", "deployment": "accounts/acme/deployments/dep"}
    answers.append((DeployedModel, http.post("deployedModels", json=load)))

    for published, answer in answers:
        assert answer.status_code == 200, answer.text
        published.model_validate(answer.json(), strict=False)


@pytest.mark.parametrize("kind", [SFT, DPO])
def test_all_states_of_the_sdk_can_be_set_and_parse(
    kind: str, server: LoopbackFireworks, http: httpx.Client
) -> None:
    published = SupervisedFineTuningJob if kind == SFT else DpoJob
    words = get_args(get_args(published.model_fields["state"].annotation)[0])
    assert {word.removeprefix("JOB_STATE_") for word in words} == STATES
    assert len(STATES) == 18
    ready(http, CHAT if kind == SFT else PAIRS)
    create(http, JOB if kind == SFT else DPO_JOB)

    for word in sorted(STATES):
        server.set_state("tk-1", word)
        assert (
            published.model_validate(http.get(f"{kind}/tk-1").json()).state == f"JOB_STATE_{word}"
        )
    for strange in ("JOB_STATE_DREAMING", "running", 4):
        server.set_state(server.jobs[0], strange)
        assert http.get(f"{kind}/tk-1").json()["state"] == strange


# The tables of requests, beside the SDK's parameter types


def _alias(name: str, hint: Any) -> str:
    while True:
        for mark in getattr(hint, "__metadata__", ()):
            if getattr(mark, "alias", None):
                return str(mark.alias)
        if not get_args(hint):
            return name
        hint = get_args(hint)[0]


def _kind(hint: Any) -> Any:
    """Name a type of the SDK's parameters as the tables do."""
    plain = {str: "string", int: "integer", float: "number", bool: "boolean", object: "object"}
    if is_typeddict(hint):
        return _keys(hint)
    if get_origin(hint) is typing.Literal:
        return frozenset(get_args(hint))
    if get_origin(hint) is dict:
        return "object"
    if get_origin(hint) is typing.Union:
        return _kind(get_args(hint)[0])
    return plain.get(hint, "list")


def _keys(params: Any) -> dict[str, Any]:
    marked, bare = get_type_hints(params, include_extras=True), get_type_hints(params)
    return {_alias(name, marked[name]): _kind(bare[name]) for name in bare if name != "account_id"}


@pytest.mark.parametrize(
    ("module", "params", "table", "collection"),
    [
        ("supervised_fine_tuning_job", "SupervisedFineTuningJob", tables.SFT_JOB, SFT),
        ("dpo_job", "DpoJob", tables.DPO_JOB, DPO),
        ("dataset", "Dataset", tables.DATASET, "datasets"),
        ("deployment", "Deployment", tables.DEPLOYMENT, "deployments"),
        ("lora_load", "LoraLoad", tables.DEPLOYED_MODEL, "deployedModels"),
    ],
)
def test_the_keys_and_types_of_requests_are_those_of_the_sdk(
    module: str, params: str, table: tables.Table, collection: str
) -> None:
    suffix = ("", "") if module == "lora_load" else ("_create", "Create")
    found = importlib.import_module(f"fireworks.types.{module}{suffix[0]}_params")
    published = _keys(getattr(found, f"{params}{suffix[1]}Params"))

    query = tables.QUERIES[collection]
    assert query <= published.keys()
    assert {name: kind for name, kind in published.items() if name not in query} == table


def test_the_extras_are_those_that_the_sdk_lacks() -> None:
    assert set(tables.SFT_JOB_EXTRAS) == {"lrScheduler"}
    assert set(tables.LOSS_CONFIG_EXTRAS) == {"orpo"}
    assert set(tables.TRAINING_CONFIG_EXTRAS) == {
        *("loraAlpha", "loraDropout", "loraTargetModules", "lrScheduler", "trainerShardingScheme")
    }
    assert not tables.SFT_JOB_EXTRAS.keys() & tables.SFT_JOB.keys()
    assert not tables.TRAINING_CONFIG_EXTRAS.keys() & tables.TRAINING_CONFIG.keys()
