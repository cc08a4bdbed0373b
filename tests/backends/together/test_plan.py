"""The plan for Together: every field as the service has it, offline."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backends.together.specs import (
    chats,
    held_out,
    pairs,
    planned,
    questions,
    refused,
    request,
    spec,
)
from tunekit import errors
from tunekit.backends.together.request import build
from tunekit.data.prepare import prepare
from tunekit.models import Model
from tunekit.planning.plan import Plan


def used(plan: Plan, field: str, outcome: str) -> Any:
    return next(
        (c.used for c in plan.changes if (c.field, c.outcome) == (field, outcome)), "nothing"
    )


def test_every_setting_of_the_training_is_sent() -> None:
    training = {
        "epochs": 3.0,
        "batch_size": 24,
        "learning_rate": 2e-4,
        "scheduler": "linear",
        "warmup_ratio": 0.1,
        "weight_decay": 0.01,
        "max_grad_norm": 0.5,
        "seed": 7,
        "max_length": 4096,
        "packing": True,
    }

    sent = request(spec(training=training))

    assert sent["n_epochs"] == 3
    assert isinstance(sent["n_epochs"], int)
    assert sent["batch_size"] == 24
    assert sent["gradient_accumulation_steps"] == 1
    assert sent["learning_rate"] == 2e-4
    assert sent["lr_scheduler"]["lr_scheduler_type"] == "linear"
    assert (sent["warmup_ratio"], sent["weight_decay"], sent["max_grad_norm"]) == (0.1, 0.01, 0.5)
    assert (sent["random_seed"], sent["max_seq_length"], sent["packing"]) == (7, 4096, True)


def test_a_part_of_an_epoch_is_refused() -> None:
    assert "whole epochs" in refused(spec(training={"epochs": 1.5}))["training.epochs"]


def test_a_number_of_steps_is_refused() -> None:
    assert set(refused(spec(training={"max_steps": 10}))) == {"training.max_steps"}


def test_a_constant_rate_is_refused_and_the_way_to_have_it_is_named() -> None:
    assert (
        "min_lr_ratio: 1" in refused(spec(training={"scheduler": "constant"}))["training.scheduler"]
    )


def test_a_fraction_of_alpha_is_refused_since_it_would_be_cut_off() -> None:
    assert set(refused(spec(method={"type": "lora", "alpha": 24.5}))) == {"method.alpha"}


def test_qlora_is_refused_with_all_that_belongs_to_it() -> None:
    method = {"type": "qlora", "quantization": "nf4", "double_quantization": False}

    assert set(refused(spec(method=method))) == {
        *("method.type", "method.quantization", "method.double_quantization")
    }


def test_orpo_is_refused() -> None:
    assert "objective.type" in refused(spec(data=pairs(), objective="orpo"))


def test_a_folder_of_this_machine_is_refused_as_a_model(tmp_path: Any) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')

    assert "model_name" in refused(spec(model=str(tmp_path)))["model"]
    assert not refused(spec(model=str(tmp_path)), model_name="Qwen/Qwen3-8B")


def test_the_name_that_together_has_for_a_model_is_shown() -> None:
    plan = planned(spec(model="meta-llama/Llama-3.1-8B-Instruct"))

    name = "meta-llama/Meta-Llama-3.1-8B-Instruct-Reference"
    assert plan.request["model"] == name
    assert used(plan, "model", "adapted") == name


def test_a_length_that_is_left_open_is_left_to_the_model() -> None:
    plan = planned(spec())

    assert "max_seq_length" not in plan.request
    assert used(plan, "training.max_length", "auto") is None


def test_packed_rows_have_a_length_since_it_decides_how_many_steps_there_are() -> None:
    assert request(spec(training={"packing": True}))["max_seq_length"] == 2048


def test_an_automatic_batch_is_one_that_models_take() -> None:
    assert request(spec(data=questions(10)))["batch_size"] == 8
    assert request(spec(data=pairs(3000), objective="dpo"))["batch_size"] <= 32


def test_an_automatic_rank_stops_at_the_highest_that_there_is() -> None:
    wanted = spec()
    # 1.5 billion parameters, and tokens for a rank of 128.
    model = Model(
        id=wanted.model,
        parameters=1_500_000_000,
        hidden_size=1536,
        layers=28,
        heads=12,
        kv_heads=2,
        head_dim=128,
        intermediate_size=8960,
        vocab_size=151_936,
        tied_embeddings=True,
    )
    data = prepare(wanted).profile.model_copy(
        update={"tokens": 10**9, "trained_tokens": 10**9, "rows": 10**6}
    )

    plan = build(wanted, model, data, model_name=None)

    assert plan.request["training_type"]["lora_r"] == 64
    assert used(plan, "method.rank", "adapted") == 64


def test_layers_are_named_with_commas_between_them() -> None:
    method = {"type": "lora", "target_modules": ["q_proj", "v_proj"]}

    assert (
        request(spec(method=method))["training_type"]["lora_trainable_modules"] == "q_proj,v_proj"
    )


@pytest.mark.parametrize(
    ("rows", "train_on", "inputs"),
    [
        (chats, "auto", False),
        (chats, "assistant", False),
        (chats, "completion", False),
        (chats, "all", True),
        (questions, "auto", False),
        (questions, "all", True),
    ],
)
def test_what_counts_is_said_as_together_says_it(rows: Any, train_on: str, inputs: bool) -> None:
    wanted = spec(data=rows(), objective={"type": "sft", "train_on": train_on})

    assert request(wanted)["training_method"] == {"method": "sft", "train_on_inputs": inputs}


def test_of_plain_text_every_token_counts() -> None:
    rows = [{"text": f"{n} is a number of its own."} for n in range(20)]

    assert request(spec(data=rows))["training_method"]["train_on_inputs"] is True


def test_held_out_rows_are_measured_and_the_number_of_times_is_shown() -> None:
    plan = planned(spec(validation=held_out(), training={"epochs": 4, "batch_size": 8}))

    assert plan.request["n_evals"] == used(plan, "backend.n_evals", "auto") == 10
    # 40 rows in one step an epoch.
    few = spec(validation=held_out(), training={"epochs": 3, "batch_size": 40})
    assert request(few)["n_evals"] == 3
    assert request(spec())["n_evals"] == 0


def test_checkpoints_are_counted_where_the_spec_gives_a_distance() -> None:
    training = {"epochs": 4, "batch_size": 8, "checkpoint_steps": 5}

    # 40 rows make 5 steps an epoch, 20 in all.
    assert request(spec(training=training))["n_checkpoints"] == 4


def test_native_settings_go_over_ours_part_by_part() -> None:
    extra = {"together": {"lr_scheduler": {"lr_scheduler_args": {"num_cycles": 1.5}}}}

    scheduler = request(spec(extra=extra))["lr_scheduler"]

    assert scheduler["lr_scheduler_args"] == {"min_lr_ratio": 0.0, "num_cycles": 1.5}


def test_a_checkpoint_takes_the_place_of_the_model() -> None:
    plan = planned(spec(extra={"together": {"from_checkpoint": "ft-12ab:40"}}))

    assert "model" not in plan.request
    assert used(plan, "model", "adapted") == "ft-12ab:40"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"validation": None}, "no held-out rows"),
        ({"data": pairs(), "objective": "dpo"}, "which loss of pairs"),
        ({"training": {"early_stopping": 3, "checkpoint_steps": 1000}}, "it takes 4 evaluations"),
    ],
)
def test_stopping_early_needs_a_loss_to_watch(fields: dict[str, Any], words: str) -> None:
    held = pairs(48)[40:] if "objective" in fields else held_out()
    wanted = {"training": {"early_stopping": 1}, "validation": held, **fields}

    assert words in refused(spec(**wanted))["training.early_stopping"]
    assert planned(spec(**wanted)).request["early_stopping_enabled"] is False


def test_a_start_is_the_checkpoint_and_what_is_not_known_of_it_is_said() -> None:
    plan = planned(spec(start_from="together:ft-12ab:40"))
    native = planned(spec(extra={"together": {"from_checkpoint": "ft-12ab:40"}}))
    full = planned(spec(start_from="together:ft-12ab", method="full"))

    assert plan == native
    assert "start_from" in plan.warnings[-1]
    assert full.warnings == ()


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("/adapters/mine", "together:JOB"),
        ("fireworks:accounts/acme/models/mine", "together:JOB"),
        ("together:", "together:JOB"),
        ("together:20260801-support", "ft-..."),
    ],
)
def test_a_start_that_together_cannot_know_is_refused(start: str, words: str) -> None:
    wanted = spec(start_from=start)

    assert words in refused(wanted)["start_from"]
    assert planned(wanted).request == planned(spec()).request


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"suffix": "mine"}, "the mark by which a job is found"),
        ({"training_file": "file-1"}, "uploaded from `data`"),
        ({"wandb_key": "abc"}, "WANDB_API_KEY"),
        ({"hf_api_token": "abc"}, "HF_TOKEN"),
        ({"from_checkpoint": "20260801-support"}, "ft-..."),
    ],
)
def test_a_native_setting_that_has_no_place_is_refused(extra: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.SpecError, match=words.replace(".", r"\.")):
        planned(spec(extra={"together": extra}))
