"""Endpoints, deployments and chat at the loopback Together, driven by the official SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import together
from together.types import (
    Endpoint,
    EndpointDeployment,
    SupportedModel,
)
from together.types.chat.chat_completion import ChatCompletion
from together.types.endpoints.adapter_create_response import AdapterCreateResponse

from tests.testing.together.client import (
    MODEL,
    client,
    completed,
    wire,
)
from tunekit.testing.providers.together import LoopbackTogether

pytestmark = pytest.mark.slow


def test_a_tuned_model_is_deployed_asked_and_taken_down(
    server: LoopbackTogether, tmp_path: Path
) -> None:
    job_id = completed(server, tmp_path)
    sdk = client(server)
    job = sdk.fine_tuning.retrieve(job_id)
    profile = sdk.models.list_supported(search=MODEL).data[0].deployment_profiles[0]
    endpoint = sdk.endpoints.create(name="mine")
    deployment = sdk.endpoints.deployments.create(
        endpoint.id,
        name="first",
        model=f"projects/proj_1/models/{job.api_model_object_id}",
        config=profile.config,
        autoscaling={"min_replicas": 1, "max_replicas": 1},
    )
    split = [{"deployment_id": deployment.id, "weight": 1.0}]
    sdk.endpoints.update(endpoint.id, traffic_split=split)
    messages: Any = [{"role": "user", "content": "hi"}]

    with pytest.raises(together.InternalServerError, match="not ready"):
        sdk.chat.completions.create(model="acme/mine", messages=messages)
    ready = sdk.endpoints.deployments.retrieve(deployment.id, endpoint_id=endpoint.id)
    first, again = (
        sdk.chat.completions.create(model="acme/mine", messages=messages) for _ in range(2)
    )
    where = f"/v2/projects/proj_1/endpoints/{endpoint.id}"
    Endpoint.model_validate(wire(server, "GET", where).json())
    EndpointDeployment.model_validate(wire(server, "GET", f"{where}/deployments").json()["data"][0])
    with pytest.raises(together.ConflictError, match="deployments"):
        sdk.endpoints.delete(endpoint.id)
    sdk.endpoints.deployments.delete(deployment.id, endpoint_id=endpoint.id)
    sdk.endpoints.delete(endpoint.id)

    assert (endpoint.name, deployment.status.state) == (
        "acme/mine",
        "DEPLOYMENT_STATE_PROVISIONING",
    )
    assert ready.status.state == "DEPLOYMENT_STATE_READY"
    assert first.choices[0].message == again.choices[0].message
    assert server.serving.endpoints == {}


def test_an_adapter_is_loaded_onto_a_deployment_that_takes_adapters(
    server: LoopbackTogether, tmp_path: Path
) -> None:
    job_id = completed(server, tmp_path)
    sdk = client(server)
    job = sdk.fine_tuning.retrieve(job_id)
    found = wire(server, "GET", f"/v2/supported-models?search={MODEL}").json()["data"][0]
    supported = SupportedModel.model_validate(found)
    modes = {profile.adapter_mode: profile for profile in supported.deployment_profiles}
    dynamic = modes["ADAPTER_MODE_DYNAMIC"]
    endpoint = sdk.endpoints.create(name="many")
    deployment = sdk.endpoints.deployments.create(
        endpoint.id,
        name="base",
        model=dynamic.model,
        config=dynamic.config,
        autoscaling={"min_replicas": 1},
    )
    path = f"/v2/projects/proj_1/endpoints/{endpoint.id}/deployments/{deployment.id}/adapters"

    found = wire(server, "POST", path, {"adapterModelId": job.adapter_object_id}).json()
    adapter = AdapterCreateResponse.model_validate(found)
    later = sdk.endpoints.adapters.retrieve(
        adapter.id, endpoint_id=endpoint.id, deployment_id=deployment.id
    )
    sdk.endpoints.deployments.retrieve(deployment.id, endpoint_id=endpoint.id)
    told = {"model": job.adapter_object_name, "messages": [{"role": "user", "content": "hi"}]}
    reply = ChatCompletion.model_validate(wire(server, "POST", "/v1/chat/completions", told).json())
    sdk.endpoints.adapters.delete(
        adapter.id, endpoint_id=endpoint.id, deployment_id=deployment.id, etag=adapter.etag
    )

    assert later.per_cluster[0].state == "ADAPTER_LOAD_STATE_READY"
    assert reply.model == job.adapter_object_name
    assert wire(server, "POST", "/v1/chat/completions", told).status_code == 404


def test_the_model_of_a_job_answers_by_its_name(server: LoopbackTogether, tmp_path: Path) -> None:
    completed(server, tmp_path)
    messages: Any = [{"role": "user", "content": "hi"}]

    reply = client(server).chat.completions.create(
        model=server.jobs[0].output_name, messages=messages
    )

    assert reply.choices[0].message is not None
    with pytest.raises(together.NotFoundError):
        client(server).chat.completions.create(model="acme/none", messages=messages)
