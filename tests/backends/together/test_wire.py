"""Our bytes beside those of the official SDK, for the same settings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backends.together.specs import bought, creates, held_out, pairs, spec
from tunekit.backends.together.backend import Together
from tunekit.errors import RequestRejected
from tunekit.running.start import submit
from tunekit.testing.providers.together import LoopbackTogether

TRAINING = {
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 1e-4,
    "warmup_ratio": 0.1,
    "weight_decay": 0.01,
    "max_grad_norm": 0.5,
    "seed": 7,
    "checkpoint_steps": 2,
}
COMMON = {
    "n_epochs": 2,
    "batch_size": 16,
    "gradient_accumulation_steps": 1,
    "learning_rate": 1e-4,
    "warmup_ratio": 0.1,
    "weight_decay": 0.01,
    "max_grad_norm": 0.5,
    "random_seed": 7,
    "packing": False,
    # 40 rows in batches of 16: 3 steps an epoch, 6 in all.
    "n_checkpoints": 3,
}
LORA = {"lora": True, "lora_r": 16, "lora_alpha": 32, "lora_dropout": 0.05}
METHOD = {"type": "lora", "rank": 16, "alpha": 32, "dropout": 0.05}


def of_sdk(
    server: LoopbackTogether, backend: Together, ours: dict[str, Any], **settings: Any
) -> Any:
    """Let the SDK start a job of our files, and give what it sent."""
    backend.client().fine_tuning.create(
        training_file=ours["training_file"],
        validation_file=ours["validation_file"],
        suffix=ours["suffix"],
        **{"model": "Qwen/Qwen3-8B", **COMMON, **settings},
    )
    return creates(server)[-1]


SFT = (
    spec(method=METHOD, training=TRAINING),
    {**LORA, "train_on_inputs": False},
)
LINEAR = (
    spec(
        method={**METHOD, "target_modules": ["q_proj", "v_proj"]},
        objective={"type": "sft", "train_on": "all"},
        training={**TRAINING, "scheduler": "linear", "packing": True, "max_length": 4096},
    ),
    {
        **LORA,
        "lora_trainable_modules": "q_proj,v_proj",
        "train_on_inputs": True,
        "lr_scheduler_type": "linear",
        "packing": True,
        "max_seq_length": 4096,
        "n_checkpoints": 1,
    },
)
FULL = (spec(method="full", training=TRAINING), {"lora": False, "train_on_inputs": False})
DPO = (
    spec(data=pairs(), method=METHOD, objective={"type": "dpo", "beta": 0.2}, training=TRAINING),
    {**LORA, "training_method": "dpo", "dpo_beta": 0.2},
)
RPO = (
    spec(
        data=pairs(),
        method=METHOD,
        objective={"type": "dpo", "beta": 0.2, "sft_weight": 0.7, "length_normalized": True},
        training=TRAINING,
    ),
    {
        **LORA,
        "training_method": "dpo",
        "dpo_beta": 0.2,
        "rpo_alpha": 0.7,
        "dpo_normalize_logratios_by_length": True,
    },
)
SIMPO = (
    spec(
        data=pairs(),
        method=METHOD,
        objective={"type": "simpo", "beta": 2.5, "gamma": 1.25},
        training=TRAINING,
    ),
    {**LORA, "training_method": "dpo", "dpo_beta": 2.5, "simpo_gamma": 1.25},
)
STOPPING = (
    spec(
        validation=held_out(),
        method=METHOD,
        training=TRAINING,
        extra={
            "together": {
                "early_stopping_enabled": True,
                "early_stopping_patience": 3,
                "early_stopping_min_delta": 0.01,
                "early_stopping_warmup_evals": 1,
            }
        },
    ),
    {
        **LORA,
        "train_on_inputs": False,
        "n_evals": 6,
        "early_stopping_enabled": True,
        "early_stopping_patience": 3,
        "early_stopping_min_delta": 0.01,
        "early_stopping_warmup_evals": 1,
    },
)
BY_CHECKPOINTS = (
    spec(validation=held_out(), method=METHOD, training={**TRAINING, "early_stopping": 2}),
    {
        **LORA,
        "train_on_inputs": False,
        # An evaluation at each of the three checkpoints.
        "n_evals": 3,
        "early_stopping_enabled": True,
        "early_stopping_patience": 2,
        "early_stopping_min_delta": 0.0,
        "early_stopping_warmup_evals": 0,
    },
)
CASES = {
    "sft": SFT,
    "linear": LINEAR,
    "full": FULL,
    "dpo": DPO,
    "rpo": RPO,
    "simpo": SIMPO,
    "early stop": STOPPING,
    "early stop by checkpoints": BY_CHECKPOINTS,
}


@pytest.mark.parametrize("case", CASES)
def test_a_job_is_asked_for_as_the_official_sdk_asks(
    server: LoopbackTogether, backend: Together, case: str
) -> None:
    wanted, settings = CASES[case]

    ours = bought(server, backend, wanted)

    assert ours == of_sdk(server, backend, ours, **settings)


@pytest.mark.parametrize("case", ["sft", "full"])
def test_the_price_is_asked_for_as_the_official_sdk_asks(
    server: LoopbackTogether, backend: Together, case: str
) -> None:
    wanted, settings = CASES[case]
    ours = bought(server, backend, wanted)
    of_sdk(server, backend, ours, **settings)

    first, second = (each.json() for each in server.called("POST /v1/fine-tunes/estimate-price"))

    assert without_empty(first) == without_empty(second)


def test_training_goes_on_from_a_checkpoint_as_with_the_official_sdk(
    server: LoopbackTogether, backend: Together
) -> None:
    run = submit(SFT[0], backend).wait(60)
    first = server.jobs[0].id
    native = {"extra": {"together": {"from_checkpoint": first}}}

    for start in (native, {"start_from": f"together:{first}"}, {"start_from": run.id}):
        ours = bought(server, backend, spec(method=METHOD, training=TRAINING, **start))

        theirs = of_sdk(server, backend, ours, **SFT[1], model=None, from_checkpoint=first)
        assert ours == theirs
        assert "model" not in ours


@pytest.mark.parametrize("start", ["ft-1:40", "ft-2"])
def test_a_start_of_another_base_or_of_no_job_buys_nothing(
    server: LoopbackTogether, backend: Together, start: str
) -> None:
    submit(SFT[0], backend).wait(60)
    start = start.replace("ft-1", server.jobs[0].id)
    other = spec(model="Qwen/Qwen3-14B", start_from=f"together:{start}")

    with pytest.raises(RequestRejected, match=r"was made of Qwen/Qwen3-8B.*14B|not found"):
        submit(other, backend)
    assert len(server.jobs) == 1


def without_empty(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value != ""}
