"""What lies beyond a model's limits, or costs more than agreed, is never bought."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest

from tests.backends.together.specs import bought, creates, held_out, pairs, spec
from tunekit import errors
from tunekit.backends.together.backend import Together
from tunekit.backends.together.limits import require_within
from tunekit.testing.providers.together import LoopbackTogether


def refusal(limits: dict[str, Any], **fields: Any) -> str:
    """Give why a job is refused by a server with these limits, before it is asked for."""
    with LoopbackTogether(limits=limits) as server:
        with pytest.raises(errors.RequestRejected) as caught:
            bought(server, Together(base_url=server.url, max_cost=math.inf), spec(**fields))
        assert not server.jobs
        assert not creates(server)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "cure"),
    [
        ({"method": {"type": "lora", "rank": 128}}, "--set method.rank=64"),
        ({"training": {"epochs": 21}}, "--set training.epochs=20"),
        ({"training": {"batch_size": 4}}, "--set training.batch_size=8"),
        ({"training": {"batch_size": 97}}, "--set training.batch_size=96"),
        ({"training": {"learning_rate": 0.05}}, "--set training.learning_rate=0.01"),
        ({"training": {"max_length": 100}}, "--set training.max_length=512"),
        ({"training": {"max_length": 50_000}}, "--set training.max_length=40960"),
        (
            {"data": pairs(), "objective": "dpo", "training": {"max_length": 30_000}},
            "--set training.max_length=20480",
        ),
        (
            {"data": pairs(), "objective": "dpo", "training": {"batch_size": 64}},
            "--set training.batch_size=48",
        ),
        (
            {"method": {"type": "lora", "target_modules": ["q_proj", "w_up"]}},
            "--set method.target_modules=all-linear",
        ),
        ({"extra": {"together": {"n_checkpoints": 11}}}, "--set extra.together.n_checkpoints=10"),
        ({"extra": {"together": {"n_evals": 101}}}, "--set extra.together.n_evals=100"),
        (
            {"extra": {"together": {"early_stopping_enabled": True}}},
            "--set extra.together.n_evals=4",
        ),
    ],
)
def test_what_the_model_does_not_take_is_named_with_its_cure(
    fields: dict[str, Any], cure: str
) -> None:
    # The limits that the SDK's own documentation shows.
    assert cure in refusal({}, **fields)


@pytest.mark.parametrize(
    "limits", [{"supports_full_training": False}, {"full_training": None}], ids=str
)
def test_a_model_that_is_not_trained_in_full_says_so(limits: dict[str, Any]) -> None:
    assert "--set method=lora" in refusal(limits, method="full")


def test_all_faults_are_named_at_once() -> None:
    limits = {"lora_training": {"max_rank": 8}, "max_num_epochs": 2}

    said = refusal(limits, method={"type": "lora", "rank": 16}, training={"epochs": 3})

    assert "method.rank: 16 is beyond 8" in said
    assert "training.epochs: 3 is beyond 2" in said


def test_a_model_that_is_not_known_there_says_how_to_name_it() -> None:
    with LoopbackTogether(models=frozenset({"Qwen/Qwen3-8B"})) as server:
        backend = Together(base_url=server.url, max_cost=math.inf)
        with pytest.raises(errors.RequestRejected, match="model_name"):
            bought(server, backend, spec(model="org/a-model"))
        assert not creates(server)

        named = Together(base_url=server.url, max_cost=math.inf, model_name="Qwen/Qwen3-8B")
        assert bought(server, named, spec(model="org/a-model"))["model"] == "Qwen/Qwen3-8B"


def test_limits_that_are_not_told_hold_nothing_up() -> None:
    limits = dict.fromkeys(("max_num_epochs", "min_learning_rate", "lora_training"))

    require_within({"n_epochs": 300, "learning_rate": 1e-9, "training_type": {}}, limits)


@pytest.mark.parametrize("agreed", [None, 0.0, 1.24])
def test_a_price_that_nobody_agreed_to_buys_nothing(agreed: float | None) -> None:
    with LoopbackTogether(price=1.25) as server:
        backend = Together(base_url=server.url, max_cost=agreed)
        with pytest.raises(errors.CostNotAccepted) as caught:
            bought(server, backend, spec())

        assert caught.value.estimate == 1.25
        assert not creates(server)


def test_a_price_that_was_agreed_to_buys_the_job() -> None:
    with LoopbackTogether(price=1.25) as server:
        bought(server, Together(base_url=server.url, max_cost=1.25), spec())

        assert len(server.jobs) == 1


def test_more_than_the_account_may_spend_is_a_matter_of_money() -> None:
    with (
        LoopbackTogether(price=150.0) as server,
        pytest.raises(errors.QuotaError, match=r"limit of \$100"),
    ):
        bought(server, Together(base_url=server.url, max_cost=math.inf), spec())


def test_held_out_rows_are_part_of_the_price(server: LoopbackTogether, backend: Together) -> None:
    body = bought(server, backend, spec(validation=held_out()))

    (asked,) = (each.json() for each in server.called("POST /v1/fine-tunes/estimate-price"))
    assert asked["validation_file"] == body["validation_file"]
    assert asked["n_evals"] == body["n_evals"]


def test_a_backend_survives_a_pickle_without_its_key(server: LoopbackTogether) -> None:
    backend = Together(base_url=server.url, api_key="tgp_v1_secret-of-the-test")
    assert backend.http is backend.speech

    kept = pickle.dumps(backend)

    assert b"secret-of-the-test" not in kept
    assert pickle.loads(kept) == backend
