"""What goes over the wire is what the official SDK sends for the same settings."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.backends.fireworks.specs import JOBS, PAIR_JOBS, THERE, pairs, sent, spec
from tunekit.backends.fireworks.backend import Fireworks
from tunekit.errors import CredentialsError, MissingExtra
from tunekit.running.start import submit
from tunekit.testing.providers.fireworks import LoopbackFireworks
from tunekit.testing.providers.server import Request

TRAINING = {
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 1e-4,
    "scheduler": "linear",
    "warmup_ratio": 0.25,
    "weight_decay": 0.01,
    "max_length": 2048,
    "checkpoint_steps": 5,
}
SETTINGS = {
    "base_model": THERE,
    "epochs": 2,
    "batch_size_samples": 8,
    "learning_rate": 1e-4,
    "learning_rate_warmup_steps": 3,
    "optimizer_weight_decay": 0.01,
    "max_context_length": 2048,
    "sampler_checkpoint_save_interval_steps": 5,
}
LINEAR = {"linear": {}}


def both(server: LoopbackFireworks, path: str) -> tuple[Request, Request]:
    ours, theirs = sent(server, path)
    return ours, theirs


def repeat(server: LoopbackFireworks, create: Any, **kwargs: Any) -> None:
    """Send the same job through the SDK; its id is taken by now."""
    import fireworks

    with pytest.raises(fireworks.ConflictError):
        create(**kwargs)


def same(server: LoopbackFireworks, path: str) -> None:
    ours, theirs = both(server, path)
    assert ours.query == theirs.query
    assert json.loads(ours.body) == json.loads(theirs.body)


@pytest.mark.parametrize(
    ("method", "rank"), [({"type": "lora", "rank": 16}, 16), ({"type": "full"}, 0)]
)
def test_a_supervised_job_is_what_the_sdk_sends(
    server: LoopbackFireworks, backend: Fireworks, method: dict[str, Any], rank: int
) -> None:
    server.settings.capabilities = {"supervisedFullParameterTunable": True}
    run = submit(spec(method=method, training=TRAINING), backend)
    key = str(run.job_id).rpartition("/")[2]
    (dataset,) = server.datasets.values()
    repeat(
        server,
        backend.client().supervised_fine_tuning_jobs.create,
        supervised_fine_tuning_job_id=key,
        dataset=dataset.name,
        output_model=f"accounts/acme/models/{key}",
        lora_rank=rank,
        eval_auto_carveout=False,
        extra_body={"lrScheduler": LINEAR},
        **SETTINGS,
    )
    same(server, JOBS)


@pytest.mark.parametrize(
    ("objective", "loss"),
    [
        ({"type": "dpo", "beta": 0.2}, {"method": "DPO", "dpo": {"beta": 0.2}}),
        ({"type": "orpo", "beta": 0.3}, {"method": "ORPO", "orpo": {"lambda": 0.3}}),
    ],
)
def test_a_job_on_pairs_is_what_the_sdk_sends(
    server: LoopbackFireworks, backend: Fireworks, objective: dict[str, Any], loss: dict[str, Any]
) -> None:
    method = {"type": "lora", "rank": 8}
    wanted = spec(objective=objective, data=pairs(), method=method, training=TRAINING)
    key = str(submit(wanted, backend).job_id).rpartition("/")[2]
    (dataset,) = server.datasets.values()
    output = f"accounts/acme/models/{key}"
    repeat(
        server,
        backend.client().dpo_jobs.create,
        dpo_job_id=key,
        dataset=dataset.name,
        loss_config=loss,
        training_config={
            **SETTINGS,
            "output_model": output,
            "lora_rank": 8,
            "lrScheduler": LINEAR,
        },
    )
    same(server, PAIR_JOBS)


def test_a_dataset_is_what_the_sdk_makes(server: LoopbackFireworks, backend: Fireworks) -> None:
    import fireworks

    submit(spec(), backend)
    ((key, dataset),) = server.datasets.items()
    client = backend.client()
    about = {"user_uploaded": {}, "example_count": "40", "format": "CHAT"}
    with pytest.raises(fireworks.ConflictError):
        client.datasets.create(dataset_id=key, dataset=about)
    same(server, "/v1/accounts/acme/datasets")
    client.datasets.upload(key, file=("train.jsonl", dataset.files["train.jsonl"]))
    ours, theirs = both(server, f"/v1/accounts/acme/datasets/{key}:upload")
    assert parts(ours) == parts(theirs)


def parts(request: Request) -> bytes:
    """Give the body of a form without its boundary, which is drawn by chance."""
    assert request.headers["content-length"] == str(len(request.body))
    boundary = request.headers["content-type"].partition("boundary=")[2]
    return request.body.replace(boundary.encode(), b"")


def test_the_sdk_sends_a_lost_request_once(server: LoopbackFireworks, backend: Fireworks) -> None:
    import fireworks

    server.faults.order(f"GET {JOBS}/any", "500-before")
    with pytest.raises(fireworks.InternalServerError):
        backend.client().supervised_fine_tuning_jobs.get("any")
    assert len(sent(server, f"{JOBS}/any", "GET")) == 1


def test_the_sdk_is_not_made_without_a_key(
    backend: Fireworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIREWORKS_API_KEY")
    with pytest.raises(CredentialsError, match="FIREWORKS_API_KEY"):
        backend.client()


def test_a_missing_sdk_is_said_with_the_line_that_installs_it(
    backend: Fireworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fireworks", None)
    with pytest.raises(MissingExtra, match=r"pip install 'tunekit-sdk\[fireworks\]'"):
        backend.client()
