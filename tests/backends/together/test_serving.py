"""A trained model that Together serves: one endpoint, however often it is asked for."""

from __future__ import annotations

import math
from typing import Any

import pytest

import tunekit as tk
from tests.backends.together.specs import spec
from tunekit import errors
from tunekit.backends.backend import JobId
from tunekit.backends.together.backend import Together
from tunekit.testing.providers.together import LoopbackTogether

QUESTION = [{"role": "user", "content": "1 + 1?"}]


def trained(server: LoopbackTogether) -> tuple[Together, JobId]:
    backend = Together(base_url=server.url, max_cost=math.inf)
    tk.run(spec(), backend, progress=False)
    return backend, JobId(server.jobs[-1].id)


def test_a_model_is_served_and_answers(server: LoopbackTogether) -> None:
    backend, job_id = trained(server)

    place = backend.deploy(job_id, "run-1")

    while backend.serving(place).state == "starting":
        pass
    ready = backend.serving(place)
    assert ready.state == "ready"
    assert ready.native == "DEPLOYMENT_STATE_READY"
    assert ready.model in backend.chat(ready.model, QUESTION)
    (asked,) = (each.json() for each in server.called("POST /v1/chat/completions"))
    assert asked == {
        "model": ready.model,
        "messages": QUESTION,
        "max_tokens": 128,
        "temperature": 0,
    }


def test_it_is_the_result_of_the_job_that_is_served(server: LoopbackTogether) -> None:
    backend, job_id = trained(server)

    backend.deploy(job_id, "run-1")

    (endpoint,) = server.serving.endpoints.values()
    (deployment,) = endpoint.deployments.values()
    assert deployment.model_id == server.jobs[0].object_id("model")
    assert endpoint.split == {deployment.id: 1.0}
    # Forgotten, it costs an hour and not a month.
    assert deployment.request["inactiveTimeout"] == 60


@pytest.mark.parametrize("fault", ["lost-after", "lost-before", "500-after", "409", None])
@pytest.mark.parametrize("step", ["POST /v2/projects/proj_1/endpoints", "PATCH"])
def test_one_key_makes_one_endpoint(server: LoopbackTogether, step: str, fault: Any) -> None:
    backend, job_id = trained(server)
    server.faults.order(step, fault, fault)

    assert backend.deploy(job_id, "run-1") == backend.deploy(job_id, "run-1")

    (endpoint,) = server.serving.endpoints.values()
    assert len(endpoint.deployments) == 1
    backend.deploy(job_id, "run-2")
    assert len(server.serving.endpoints) == 2


def test_stopping_leaves_nothing_and_is_harmless_twice(server: LoopbackTogether) -> None:
    backend, job_id = trained(server)
    place = backend.deploy(job_id, "run-1")

    backend.undeploy(place)
    backend.undeploy(place)

    assert not server.serving.endpoints
    assert backend.serving(place).state == "gone"


def test_a_job_that_is_not_done_cannot_be_served(server: LoopbackTogether) -> None:
    backend = Together(base_url=server.url, max_cost=math.inf)
    tk.submit(spec(), backend)

    with pytest.raises(errors.BackendError, match="no result"):
        backend.deploy(JobId(server.jobs[0].id), "run-1")


def test_a_model_that_nobody_serves_is_an_error_of_ours(backend: Together) -> None:
    with pytest.raises(errors.RequestRejected, match="acme/nothing"):
        backend.chat("acme/nothing", QUESTION)


def test_answers_come_from_the_usual_host_unless_told_otherwise(server: LoopbackTogether) -> None:
    # The host of the official SDK's chat.completions.
    assert Together().speech.base_url == "https://api-inference.together.ai"
    assert Together(base_url=server.url).speech.base_url == server.url
