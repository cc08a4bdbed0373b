"""What the loopback Together accepts, held against the parameter types of the official SDK."""

from __future__ import annotations

import importlib
import itertools
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import together
from together.lib.types import fine_tuning as lib

from tests.testing.together.client import (
    CHAT,
    MODEL,
    PAIR,
    client,
    uploaded,
    wire,
)
from tunekit.testing.providers import together_requests as tables
from tunekit.testing.providers.checks import Nested, Refused, Table, check
from tunekit.testing.providers.together import LoopbackTogether

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("method", "lora", "scheduler"),
    list(itertools.product(("sft", "dpo"), (None, True, False), ("cosine", "linear"))),
)
def test_whatever_the_sdk_sends_is_accepted(
    server: LoopbackTogether, tmp_path: Path, method: str, lora: bool | None, scheduler: Any
) -> None:
    file_id = uploaded(server, tmp_path, PAIR if method == "dpo" else CHAT)
    more: dict[str, Any] = {"rpo_alpha": 0.1, "dpo_beta": 0.2} if method == "dpo" else {}

    client(server).fine_tuning.create(
        training_file=file_id,
        model=MODEL,
        lora=lora,
        lr_scheduler_type=scheduler,
        training_method=method,
        verbose=False,
        random_seed=1,
        max_seq_length=1024,
        wandb_api_key="W",
        wandb_project_name="p",
        hf_api_token="T",
        hf_output_repo_name="a/b",
        **more,
    )

    assert len(server.jobs) == 1


def keys(table: Table, name: str, variant: str = "") -> set[str]:
    nested = table[name]
    assert isinstance(nested, Nested)
    return set((nested.variants or {})[variant] if variant else nested.keys or {})


def annotated(name: str) -> set[str]:
    """Give the wire names of one of the SDK's parameter types, without those in the path."""
    module, _, kind = name.rpartition(".")
    found = getattr(importlib.import_module(f"together.types.{module}"), kind)
    told: set[str] = set()
    for key, hint in get_type_hints(found, include_extras=True).items():
        notes = str(hint)
        told.add(notes.partition("alias='")[2].partition("'")[0] or key)
    return told - {"projectId", "endpointId", "deploymentId", "validateOnly", "updateMask"}


def test_the_keys_of_a_create_are_those_of_the_sdk() -> None:
    create = tables.CREATE

    assert set(create) == set(lib.FinetuneRequest.model_fields)
    assert keys(create, "training_type", "Lora") == set(lib.LoRATrainingType.model_fields)
    assert keys(create, "training_type", "Full") == set(lib.FullTrainingType.model_fields)
    assert keys(create, "training_method", "sft") == set(lib.TrainingMethodSFT.model_fields)
    assert keys(create, "training_method", "dpo") == set(lib.TrainingMethodDPO.model_fields)
    assert keys(create, "multimodal_params") == set(lib.FinetuneMultimodalParams.model_fields)
    assert keys(tables.COSINE, "lr_scheduler_args") == set(lib.CosineLRSchedulerArgs.model_fields)
    assert keys(tables.LINEAR, "lr_scheduler_args") == set(lib.LinearLRSchedulerArgs.model_fields)


@pytest.mark.parametrize(
    ("table", "name"),
    [
        (tables.ESTIMATE, "fine_tuning_estimate_price_params.FineTuningEstimatePriceParams"),
        (tables.LORA, "fine_tuning_estimate_price_params.TrainingTypeLoRaTrainingType"),
        (tables.DPO, "fine_tuning_estimate_price_params.TrainingMethodTrainingMethodDpo"),
        (tables.PREVIEW, "fine_tuning_preview_params.FineTuningPreviewParams"),
        (tables.ENDPOINT, "endpoint_create_params.EndpointCreateParams"),
        (tables.ENDPOINT_UPDATE, "endpoint_update_params.EndpointUpdateParams"),
        (tables.DEPLOYMENT, "endpoints.deployment_create_params.DeploymentCreateParams"),
        (tables.AUTOSCALING, "deployment_autoscaling_param.DeploymentAutoscalingParam"),
        (tables.ADAPTER, "endpoints.adapter_create_params.AdapterCreateParams"),
    ],
    ids=lambda value: value.rpartition(".")[2] if isinstance(value, str) else "",
)
def test_the_keys_of_a_request_are_those_of_the_sdk(table: Table, name: str) -> None:
    assert set(table) == annotated(name)


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"learing_rate": 1e-4}, 400, "learing_rate"),
        ({"n_epochs": "1"}, 400, "n_epochs"),
        ({"n_epochs": True}, 400, "n_epochs"),
        ({"training_type": {"type": "QLora"}}, 400, "training_type.type"),
        ({"training_type": {"type": "Lora", "lora_r": 8}}, 400, "training_type.lora_alpha"),
        ({"training_method": {"method": "sft", "dpo_beta": 1.0}}, 400, "training_method.dpo_beta"),
        ({"from_checkpoint": "ft-1"}, 400, "model"),
        ({"training_file": "file-none"}, 404, "training_file"),
        ({"training_method": {"method": "dpo"}}, 400, "training_file"),
        ({"n_epochs": 21}, 422, "n_epochs"),
        ({"learning_rate": 5.0}, 422, "learning_rate"),
        ({"max_seq_length": 100}, 422, "max_seq_length"),
        ({"batch_size": 97}, 422, "batch_size"),
        ({"suffix": "x" * 65}, 422, "suffix"),
        ({"early_stopping_enabled": True}, 422, "validation_file"),
        (
            {"training_type": {"type": "Lora", "lora_r": 65, "lora_alpha": 1}},
            422,
            "training_type.lora_r",
        ),
    ],
    ids=str,
)
def test_a_wrong_create_is_refused_by_the_fields_name(
    server: LoopbackTogether, tmp_path: Path, change: dict[str, Any], status: int, param: str
) -> None:
    file_id = uploaded(server, tmp_path, CHAT)
    body = {"training_file": file_id, "model": MODEL, **change}

    reply = wire(server, "POST", "/v1/fine-tunes", body)

    assert (reply.status_code, reply.json()["error"]["param"]) == (status, param)
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert server.jobs == []


def test_an_object_where_a_list_is_due_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="parts: must be a list"):
        check({"upload_id": "u", "file_id": "f", "parts": {}}, tables.COMPLETE)


def test_limits_can_be_changed_key_by_key() -> None:
    limits = {"lora_training": {"max_rank": 16}, "supports_full_training": False}
    with LoopbackTogether(limits=limits) as server:
        found = client(server).fine_tuning.model_limits(model_name=MODEL)

    assert (found.lora_training.max_rank, found.lora_training.min_batch_size) == (16, 8)
    assert not found.supports_full_training


def test_an_unknown_model_is_not_found() -> None:
    with (
        LoopbackTogether(models=frozenset({MODEL})) as server,
        pytest.raises(together.NotFoundError),
    ):
        client(server).fine_tuning.model_limits(model_name="a/b")


def test_another_key_is_not_let_in(server: LoopbackTogether) -> None:
    with pytest.raises(together.AuthenticationError, match="Invalid API key"):
        together.Together(base_url=server.url, api_key="other", max_retries=0).whoami()
