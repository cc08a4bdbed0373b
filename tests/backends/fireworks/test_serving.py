"""A trained model is served, asked, and given back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backends.fireworks.specs import MODEL, THERE, chats, sent, spec, turn
from tunekit.backends.backend import JobId
from tunekit.backends.fireworks.backend import Fireworks
from tunekit.errors import CredentialsError, RequestRejected
from tunekit.running.run import Run
from tunekit.running.start import submit
from tunekit.spec.finetune import FineTune
from tunekit.testing.providers.fireworks import LoopbackFireworks

DEPLOYMENTS = "/v1/accounts/acme/deployments"
ASKED = [turn("user", "1 + 1?")]


@pytest.fixture
def run(backend: Fireworks) -> Run:
    return submit(spec(), backend).wait(60)


@pytest.fixture
def many(server: LoopbackFireworks) -> Fireworks:
    return Fireworks(base_url=server.url, max_cost=9, multi_lora=True)


def alive(server: LoopbackFireworks) -> list[str]:
    return [name for name, one in server.deployments.items() if not one.deleted]


def test_a_model_is_deployed_asked_and_taken_down(server: LoopbackFireworks, run: Run) -> None:
    endpoint = run.deploy().wait(60)
    (name,) = alive(server)
    model = server.jobs[0].output
    assert endpoint.model == f"{model}#{name}"
    server.settings.reply = lambda model, messages: f"{messages[-1]['content']} 2"
    assert endpoint.chat("1 + 1?") == "1 + 1? 2"
    run.undeploy()
    assert alive(server) == []
    run.undeploy()


def test_the_deployment_is_what_the_sdk_makes(
    server: LoopbackFireworks, backend: Fireworks, run: Run
) -> None:
    import fireworks

    run.deploy()
    key = alive(server)[0].rpartition("/")[2]
    with pytest.raises(fireworks.ConflictError):
        backend.client().deployments.create(
            deployment_id=key,
            base_model=server.jobs[0].output,
            deployment_shape="default",
            min_replica_count=0,
            max_replica_count=1,
        )
    ours, theirs = sent(server, DEPLOYMENTS)
    assert (ours.query, ours.json()) == (theirs.query, theirs.json())


@pytest.mark.parametrize("fault", ["lost-after", "lost-before", "500-after", "409"])
def test_one_key_makes_one_deployment(
    server: LoopbackFireworks, backend: Fireworks, run: Run, fault: Any
) -> None:
    server.faults.order(f"POST {DEPLOYMENTS}", fault)
    first = backend.deploy(JobId(str(run.job_id)), run.id)
    assert backend.deploy(JobId(str(run.job_id)), run.id) == first
    assert len(alive(server)) == 1


def test_what_was_taken_down_can_be_deployed_again(server: LoopbackFireworks, run: Run) -> None:
    run.deploy().wait(60)
    run.undeploy()
    again = run.deploy().wait(60)
    assert (len(alive(server)), again.state) == (1, "ready")


def test_a_deployment_that_scales_up_is_waited_for(server: LoopbackFireworks, run: Run) -> None:
    endpoint = run.deploy().wait(60)
    server.settings.scaling_up = 3
    assert endpoint.chat(ASKED, max_new_tokens=2).split() == [endpoint.model, "heard:"]
    calls = sent(server, "/inference/v1/chat/completions")
    assert len(calls) == 4
    assert calls[-1].json() == {
        "model": endpoint.model,
        "messages": ASKED,
        "max_tokens": 2,
        "temperature": 0,
    }


def test_a_model_that_is_not_served_is_said(backend: Fireworks) -> None:
    with pytest.raises(RequestRejected, match="not deployed"):
        backend.chat("accounts/acme/models/none#accounts/acme/deployments/none", ASKED)
    assert backend.serving("m#accounts/acme/deployments/none").state == "gone"
    backend.undeploy("m#accounts/acme/deployments/none")


def test_a_job_that_has_not_succeeded_is_not_served(
    server: LoopbackFireworks, backend: Fireworks
) -> None:
    run = submit(spec(), backend)
    with pytest.raises(RequestRejected, match="has succeeded"):
        backend.deploy(JobId(str(run.job_id)), run.id)
    assert alive(server) == []


@pytest.mark.parametrize("fault", [None, "lost-after"])
def test_adapters_stand_beside_each_other_on_one_base(
    server: LoopbackFireworks, many: Fireworks, fault: Any
) -> None:
    one = submit(spec(), many).wait(60)
    two = submit(FineTune(model=MODEL, data=chats()[:30], validation=None), many).wait(60)
    server.faults.order("POST /v1/accounts/acme/deployedModels", fault)
    first, second = one.deploy(), two.deploy()
    assert one.deploy().id == first.id
    (name,) = alive(server)
    assert server.deployments[name].body["baseModel"] == THERE
    assert server.deployments[name].body["enableAddons"] is True
    models = [job.output for job in server.jobs]
    assert [first.wait(60).model, second.wait(60).model] == [f"{model}#{name}" for model in models]
    assert models[1] in second.chat(ASKED)
    one.undeploy()
    assert alive(server) == [name]
    assert second.state == "ready"
    assert first.state == "gone"
    two.undeploy()
    assert alive(server) == []


def test_serving_needs_the_account(
    backend: Fireworks, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIREWORKS_ACCOUNT_ID")
    with pytest.raises(CredentialsError, match="FIREWORKS_ACCOUNT_ID"):
        backend.deploy(JobId(str(run.job_id)), run.id)
