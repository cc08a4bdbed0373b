"""What a job says of itself: once, in one order, and an end only when it is one."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backends.together.specs import bought, held_out, spec
from tunekit import errors
from tunekit.backends.backend import JobId, Update
from tunekit.backends.together import watch
from tunekit.backends.together.backend import Together
from tunekit.backends.together.job import STATES
from tunekit.events import CheckpointEvent, Event, JobState, LogEvent, MetricsEvent, StateEvent
from tunekit.testing.providers.together import LoopbackTogether


def started(server: LoopbackTogether, backend: Together, **fields: Any) -> JobId:
    training = {"epochs": 4, "batch_size": 8, "checkpoint_steps": 8}
    wanted = spec(**{"validation": held_out(), "training": training, **fields})
    bought(server, backend, wanted)
    return JobId(server.jobs[-1].id)


def followed(backend: Together, job_id: JobId) -> list[Update]:
    """Poll to the end."""
    updates = [backend.poll(job_id, None)]
    while not updates[-1].state.terminal:
        updates.append(backend.poll(job_id, updates[-1].cursor))
    return updates


def said(updates: list[Update]) -> list[Event]:
    return [event for update in updates for event in update.events]


def test_states_are_told_in_order_even_those_that_nobody_saw(backend: Together) -> None:
    with LoopbackTogether(ticks=0) as server:
        quick = Together(base_url=server.url, max_cost=math.inf)
        update = quick.poll(started(server, quick), None)

    states = [event.native for event in update.events if isinstance(event, StateEvent)]
    assert states == ["pending", "running", "compressing", "uploading", "completed"]


def test_metrics_carry_trls_names(server: LoopbackTogether, backend: Together) -> None:
    events = said(followed(backend, started(server, backend)))

    metrics = {event.id: event for event in events if isinstance(event, MetricsEvent)}
    (raw,) = [
        row
        for row in server.jobs[0].metrics()
        if row["train/global_step"] == 3 and "train/loss" in row
    ]
    assert metrics["train/3"].step == 3
    assert metrics["train/3"].metrics == {
        "loss": raw["train/loss"],
        "learning_rate": raw["train/learning_rate"],
        "grad_norm": raw["train/grad_norm"],
    }
    assert set(metrics["eval/20"].metrics) == {"eval_loss"}
    # 40 rows in batches of 8, four times.
    assert metrics["train/1"].metrics["max_steps"] == 20
    assert len([name for name in metrics if name.startswith("train")]) == 20


def test_checkpoints_are_told_with_their_place(server: LoopbackTogether, backend: Together) -> None:
    job_id = started(server, backend)

    events = said(followed(backend, job_id))

    found = [event for event in events if isinstance(event, CheckpointEvent)]
    assert [event.step for event in found] == [10, 20]
    assert all(event.path.startswith(f"s3://acme/{job_id}") for event in found)


@pytest.mark.parametrize("ticks", [1, 3, 7])
def test_every_reader_sees_the_same_events_in_the_same_order(ticks: int) -> None:
    with LoopbackTogether(ticks=ticks) as server:
        backend = Together(base_url=server.url, max_cost=math.inf)
        job_id = started(server, backend)

        updates = followed(backend, job_id)

        whole = list(backend.poll(job_id, None).events)
        assert said(updates) == whole
        assert len({event.id for event in whole}) == len(whole)
        for update in updates:
            behind = [event for event in whole if event.id not in ids_up_to(updates, update)]
            assert list(backend.poll(job_id, update.cursor).events) == behind


def ids_up_to(updates: list[Update], last: Update) -> set[str]:
    position = updates.index(last)
    return {event.id for event in said(updates[: position + 1])}


@given(st.text())
def test_a_word_that_is_not_known_is_never_an_end(word: str) -> None:
    state = Together().state_of(word)

    assert word in STATES or not state.terminal


@pytest.mark.parametrize("word", ["failed", "COMPLETED", "succeeded", "expired", "completed "])
def test_a_job_in_an_unknown_state_goes_on_and_shows_the_word(
    server: LoopbackTogether, backend: Together, word: str
) -> None:
    job_id = started(server, backend)
    server.set_state(job_id, word)

    update = backend.poll(job_id, None)

    assert (update.state, update.native, update.hosted) == (JobState.RUNNING, word, "")


def test_a_failed_job_says_why_in_togethers_words() -> None:
    with LoopbackTogether(outcome="user_error") as server:
        backend = Together(base_url=server.url, max_cost=math.inf)

        last = followed(backend, started(server, backend))[-1]

    assert (last.state, last.native) == (JobState.FAILED, "user_error")
    assert last.reason == "Job failed: the training data has no trainable tokens"
    assert last.log.splitlines()[-1] == last.reason
    (error,) = [e for e in last.events if isinstance(e, LogEvent) and e.level == "error"]
    assert error.message == last.reason


def test_what_together_really_used_is_told(server: LoopbackTogether, backend: Together) -> None:
    last = followed(backend, started(server, backend))[-1]

    job = server.jobs[0]
    assert last.hosted == job.output_name
    assert last.used["base_model"] == "Qwen/Qwen3-8B"
    assert last.used["epochs"] == 4
    assert last.used["batch_size"] == 8
    assert last.used["rank"] == job.request["training_type"]["lora_r"]
    assert last.used["alpha"] == job.request["training_type"]["lora_alpha"]
    assert last.used["learning_rate"] == job.request["learning_rate"]
    # The service counts in billionths of a dollar.
    assert last.used["cost"] == 1.25


@pytest.mark.parametrize("request_name", ["GET /v1/fine-tunes/ft-"])
def test_a_service_that_does_not_answer_changes_nothing(
    server: LoopbackTogether, backend: Together, request_name: str
) -> None:
    job_id = started(server, backend)
    cursor = backend.poll(job_id, None).cursor
    server.faults.weigh(request_name, {"500-before": 1, "200-html-after": 1}, seed=1)

    with pytest.raises(errors.BackendDown):
        backend.poll(job_id, cursor)

    server.faults.clear()
    assert backend.poll(job_id, cursor).state is not JobState.QUEUED


@pytest.mark.parametrize(
    "cursor", ["", "0", "{}", "null", "[1]", "[true,1,1,1]", '["a",1,1,1]', "[1,2"]
)
def test_a_cursor_that_says_nothing_is_the_beginning(cursor: str) -> None:
    assert watch.Cursor.read(cursor) == watch.Cursor()


EVENT = {"type": "epoch_complete", "message": "Epoch", "created_at": "2026-08-01T10:00:06Z"}


def test_events_that_are_listed_the_newest_first_are_told_the_oldest_first() -> None:
    late = {**EVENT, "message": "Second", "created_at": "2026-08-01T10:00:07Z"}

    events, _ = watch.since(watch.Cursor(), [late, EVENT], [], status="running")

    assert [event.message for event in events if isinstance(event, LogEvent)] == ["Epoch", "Second"]
    # 2026-08-01T10:00:06Z
    assert events[0].time == 1785578406.0


def test_an_end_that_no_event_tells_of_is_told_once() -> None:
    events, after = watch.since(watch.Cursor(), [EVENT], [], status="completed")
    again, _ = watch.since(after, [EVENT], [], status="completed")

    assert isinstance(events[-1], StateEvent)
    assert events[-1].state is JobState.SUCCEEDED
    assert again == ()


def test_numbers_that_are_none_are_left_out() -> None:
    row = {"train/global_step": 1.0, "train/loss": math.nan, "train/grad_norm": 2.0}

    events, _ = watch.since(watch.Cursor(), [], [row], status="running")

    assert [event.metrics for event in events if isinstance(event, MetricsEvent)] == [
        {"grad_norm": 2.0}
    ]


@pytest.mark.parametrize(
    "row",
    [{"train/loss": 1.0}, {"train/global_step": math.inf, "train/loss": 1.0}, {}, {"a": "b"}],
    ids=str,
)
def test_metrics_without_a_step_are_passed_over(row: dict[str, Any]) -> None:
    assert watch.since(watch.Cursor(), [], [row], status="running")[0] == ()


def test_a_step_that_a_restarted_job_makes_twice_is_told_once() -> None:
    rows = [{"train/global_step": step, "train/loss": 1.0} for step in (1, 2, 2, 1)]

    events, _ = watch.since(watch.Cursor(), [], rows, status="running")

    assert [event.id for event in events] == ["train/1", "train/2"]


def test_what_commands_a_terminal_is_taken_out() -> None:
    event = {**EVENT, "message": "done \x1b]0;owned\x07\x1b[31mred"}

    (told,), _ = watch.since(watch.Cursor(), [event], [], status="running")

    assert isinstance(told, LogEvent)
    assert told.message == "done red"
