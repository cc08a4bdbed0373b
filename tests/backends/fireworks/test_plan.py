"""What a spec becomes at Fireworks, offline."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backends.fireworks.specs import (
    MODEL,
    THERE,
    body,
    chats,
    pairs,
    planned,
    refused,
    spec,
    turn,
)
from tunekit.backends.fireworks.backend import Fireworks
from tunekit.data.rows import Conversation, Message, Preference, Where
from tunekit.errors import SpecError
from tunekit.spec.finetune import FineTune

WHERE = Where(file="rows.jsonl", line=1)


@pytest.mark.parametrize(
    ("rows", "epochs", "batch", "ratio", "steps"),
    [
        # steps = ceil(ratio x epochs x ceil(rows / batch)), as transformers' get_warmup_steps
        (40, 1, 4, 0.1, 1),
        (40, 2, 4, 0.1, 2),
        (40, 1, 4, 0.11, 2),
        (41, 1, 4, 0.5, 6),
        (40, 3, 40, 0.0, 0),
        (100, 1, 1, 0.07, 7),
        (40, 1, 4, 0.29, 3),
    ],
)
def test_a_share_of_warm_up_becomes_whole_steps(
    rows: int, epochs: int, batch: int, ratio: float, steps: int
) -> None:
    training = {"epochs": epochs, "batch_size": batch, "warmup_ratio": ratio}
    wanted = spec(data=chats(rows), training=training)
    assert body(wanted)["learningRateWarmupSteps"] == steps


def test_the_plan_shows_how_the_warm_up_was_counted() -> None:
    wanted = spec(training={"epochs": 2, "batch_size": 8, "warmup_ratio": 0.25})
    change = next(c for c in planned(wanted).changes if c.field == "training.warmup_ratio")
    assert (change.outcome, change.asked, change.used) == ("adapted", 0.25, 3)
    assert "0.25 of 2 x 5" in change.reason


@pytest.mark.parametrize(("asked", "used"), [(1, 16), (16, 16), (1000, 1008), (8192, 8192)])
def test_a_length_goes_up_to_a_multiple_of_16(asked: int, used: int) -> None:
    assert body(spec(training={"max_length": asked}))["maxContextLength"] == used


def test_an_automatic_length_is_left_to_the_service() -> None:
    assert "maxContextLength" not in body(spec())


@pytest.mark.parametrize("rank", [1, 2, 4, 8, 16, 32])
def test_powers_of_two_up_to_32_are_ranks(rank: int) -> None:
    wanted = spec(method={"type": "lora", "rank": rank})
    assert body(wanted)["loraRank"] == rank
    assert refused(wanted) == {}


@pytest.mark.parametrize(("rank", "nearest"), [(3, 2), (12, 8), (33, 32), (64, 32), (512, 32)])
def test_another_rank_is_refused_and_never_becomes_0(rank: int, nearest: int) -> None:
    wanted = spec(method={"type": "lora", "rank": rank})
    assert "powers of two" in refused(wanted)["method.rank"]
    assert body(wanted)["loraRank"] == nearest


@pytest.mark.parametrize("scheduler", ["constant", "linear", "cosine"])
def test_the_schedule_is_one_of_three_objects(scheduler: str) -> None:
    assert body(spec(training={"scheduler": scheduler}))["lrScheduler"] == {scheduler: {}}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"training": {"max_steps": 10}}, "training.max_steps"),
        ({"training": {"epochs": 1.5}}, "training.epochs"),
        ({"training": {"packing": True}}, "training.packing"),
        ({"training": {"seed": 1}}, "training.seed"),
        ({"training": {"max_grad_norm": 0.5}}, "training.max_grad_norm"),
        ({"method": {"type": "lora", "alpha": 16.0}}, "method.alpha"),
        ({"method": {"type": "lora", "dropout": 0.1}}, "method.dropout"),
        ({"method": {"type": "lora", "target_modules": ["q_proj"]}}, "method.target_modules"),
        ({"method": "qlora"}, "method.type"),
        ({"objective": {"type": "sft", "train_on": "all"}}, "objective.train_on"),
        ({"objective": "simpo", "data": pairs()}, "objective.type"),
        ({"objective": {"type": "dpo", "beta": 0.5}, "data": pairs()}, "objective.beta"),
        (
            {"objective": {"type": "dpo", "sft_weight": 0.1}, "data": pairs()},
            "objective.sft_weight",
        ),
        ({"data": [{"text": f"words {n}"} for n in range(40)]}, "data"),
        ({"data": chats(2)}, "data"),
        ({"extra": {"fireworks": {"batchSize": 32768}}}, "extra.fireworks.batchSize"),
        ({"extra": {"fireworks": {"earlyStop": True}}}, "extra.fireworks.earlyStop"),
    ],
)
def test_what_fireworks_cannot_do_is_refused(fields: dict[str, Any], field: str) -> None:
    assert list(refused(spec(**fields))) == [field]


def test_length_normalised_dpo_is_refused_and_its_usual_beta_is_no_wish() -> None:
    wanted = spec(objective={"type": "dpo", "length_normalized": True}, data=pairs())
    assert list(refused(wanted)) == ["objective.length_normalized"]
    assert body(wanted)["lossConfig"]["dpo"] == {"beta": 0.1}


def test_the_loss_is_always_named() -> None:
    dpo = body(spec(objective={"type": "dpo", "beta": 0.2}, data=pairs()))
    orpo = body(spec(objective={"type": "orpo", "beta": 0.3}, data=pairs()))
    assert dpo["lossConfig"] == {"method": "DPO", "dpo": {"beta": 0.2}}
    assert orpo["lossConfig"] == {"method": "ORPO", "orpo": {"lambda": 0.3}}


def test_training_every_weight_is_rank_0() -> None:
    assert body(spec(method="full"))["loraRank"] == 0


def test_no_rows_are_carved_out_in_silence() -> None:
    assert body(spec())["evalAutoCarveout"] is False


def test_a_known_model_gets_its_name_there_without_a_warning() -> None:
    plan = planned(spec())
    assert plan.request["body"]["baseModel"] == THERE
    assert (plan.used("model"), plan.warnings) == (THERE, ())


def test_a_name_by_rule_is_warned_about() -> None:
    plan = planned(spec(model="Qwen/Qwen2.5-7B-Instruct"))
    assert plan.used("model") == "accounts/fireworks/models/qwen2p5-7b-instruct"
    assert "model_name" in plan.warnings[0]


def test_a_name_that_is_given_wins() -> None:
    plan = planned(spec(), model_name="mine")
    assert plan.request["body"]["baseModel"] == "accounts/fireworks/models/mine"
    assert plan.warnings == ()


def test_settings_of_the_account_join_the_body() -> None:
    options = {"region": "US_IOWA_1", "wandb_project": "p", "wandb_entity": "e"}
    told = body(spec(), **options)
    assert told["region"] == "US_IOWA_1"
    assert told["wandbConfig"] == {"enabled": True, "project": "p", "entity": "e"}
    paired = body(spec(objective="dpo", data=pairs()), **options)
    assert paired["trainingConfig"]["region"] == "US_IOWA_1"


def test_native_settings_go_over_ours_part_by_part() -> None:
    extra = {"lrScheduler": {"cosine": {"minLrRatio": 0.1}}, "displayName": "mine"}
    told = body(spec(extra={"fireworks": extra}, training={"scheduler": "linear"}))
    assert told["lrScheduler"] == {"cosine": {"minLrRatio": 0.1}}
    assert told["displayName"] == "mine"


@pytest.mark.parametrize("objective", ["sft", "dpo"])
def test_a_warm_start_takes_the_place_of_the_base(objective: str) -> None:
    warm: dict[str, Any] = {"warmStartFrom": "accounts/acme/models/before"}
    inside = objective == "dpo"
    extra = {"trainingConfig": warm} if inside else warm
    told = body(
        spec(objective=objective, data=pairs() if inside else chats(), extra={"fireworks": extra})
    )
    settings = told["trainingConfig"] if inside else told
    assert settings["warmStartFrom"] == "accounts/acme/models/before"
    assert "baseModel" not in settings


@pytest.mark.parametrize("objective", ["sft", "dpo"])
@pytest.mark.parametrize("start", ["accounts/acme/models/before", "dpoJobs/before"])
def test_a_start_is_the_warm_start(objective: str, start: str) -> None:
    data = chats() if objective == "sft" else pairs()
    plan = planned(spec(objective=objective, data=data, start_from=f"fireworks:{start}"))
    settings = plan.request["body"]
    settings = settings.get("trainingConfig", settings)
    assert settings["warmStartFrom"] == start
    assert "baseModel" not in settings
    assert [change.used for change in plan.changes if change.field == "model"] == [THERE, start]
    assert plan.request["base"] == THERE


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"start_from": "/adapters/mine"}, "fireworks:JOB"),
        ({"start_from": "together:ft-1"}, "fireworks:JOB"),
        ({"start_from": "fireworks:before"}, "accounts/ACCOUNT/models/MODEL"),
        ({"start_from": "fireworks:dpoJobs/before", "method": "full"}, "adapters only"),
    ],
)
def test_a_start_that_fireworks_cannot_know_is_refused(fields: dict[str, Any], words: str) -> None:
    assert words in refused(spec(**fields))["start_from"]
    assert "warmStartFrom" not in body(spec(**fields))


def test_a_key_in_the_spec_is_refused() -> None:
    extra = {"fireworks": {"wandbConfig": {"apiKey": "wandb-secret"}}}
    with pytest.raises(SpecError, match="WANDB_API_KEY") as caught:
        planned(spec(extra=extra))
    assert "wandb-secret" not in str(caught.value)


def test_an_account_is_a_bare_id() -> None:
    with pytest.raises(SpecError, match="bare id"):
        Fireworks(account_id="accounts/acme")


def test_training_on_the_last_answer_weighs_the_others_with_0() -> None:
    wanted = spec(objective={"type": "sft", "train_on": "completion"})
    row = Conversation(
        messages=tuple(
            Message.model_validate(turn(role, role)) for role in ("user", "assistant") * 2
        ),
        where=WHERE,
    )
    written = Fireworks().native(row, planned(wanted))
    assert [message.get("weight") for message in written["messages"]] == [None, 0, None, None]
    default = Fireworks().native(row, planned(spec()))
    assert all("weight" not in message for message in default["messages"])


def test_weights_are_on_all_rows_or_on_none() -> None:
    rows = chats()
    weighted = planned(spec(data=[{**rows[0], "weight": 0.5}, *rows[1:]]))
    plain = Conversation(messages=(Message(role="user", content="?"),), where=WHERE)
    assert Fireworks().native(plain, weighted)["weight"] == 1.0
    assert "weight" not in Fireworks().native(plain, planned(spec()))


def test_the_plan_names_a_row_that_is_sent_with_the_weight_1() -> None:
    rows = chats()
    some = planned(spec(data=[*rows[:4], {**rows[4], "weight": 0.5}, *rows[5:]]))
    (change,) = [change for change in some.changes if change.field == "data"]
    assert (change.outcome, change.used) == ("adapted", 1)
    assert change.asked == "no weight beside <rows>:1"
    every = planned(spec(data=[{**row, "weight": 0.5} for row in rows]))
    assert "data" not in [change.field for change in every.changes]


def test_a_pair_becomes_a_question_with_two_answers() -> None:
    row = Preference(prompt="1 + 1?", chosen="2", rejected="3", where=WHERE)
    written = Fireworks().native(row, planned(spec(objective="dpo", data=pairs())))
    assert written == {
        "input": {"messages": [turn("user", "1 + 1?")]},
        "preferred_output": [turn("assistant", "2")],
        "non_preferred_output": [turn("assistant", "3")],
    }


@pytest.mark.parametrize(
    ("held_out", "sent", "told"),
    [(None, False, False), (chats(2), False, True), (chats(3), True, False)],
)
def test_held_out_rows_go_along_where_they_make_a_dataset(
    held_out: Any, sent: bool, told: bool
) -> None:
    plan = planned(FineTune(model=MODEL, data=chats()[5:], validation=held_out))
    assert plan.request["rows"]["validation"] is sent
    assert any(change.field == "validation" for change in plan.changes) is told
