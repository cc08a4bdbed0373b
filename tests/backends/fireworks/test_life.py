"""States, metrics, cancelling, resuming, and jobs that were made elsewhere."""

from __future__ import annotations

import json
import math
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tunekit as tk
from tests.backends.fireworks.specs import JOBS, MODEL, THERE, chats, pairs, spec
from tunekit.backends.backend import JobId
from tunekit.backends.fireworks import job
from tunekit.backends.fireworks.backend import Fireworks
from tunekit.backends.fireworks.metrics import events
from tunekit.backends.fireworks.money import dollars
from tunekit.backends.fireworks.states import STATES, native
from tunekit.errors import RequestRejected, RunFailed
from tunekit.events import JobState, MetricsEvent
from tunekit.running.start import submit
from tunekit.spec.finetune import FineTune
from tunekit.testing.providers.fireworks import LoopbackFireworks

ENDS = {
    "COMPLETED": JobState.SUCCEEDED,
    "EARLY_STOPPED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "EXPIRED": JobState.FAILED,
    "DELETING": JobState.FAILED,
    "DELETING_CLEANING_UP": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
}
PREFIX = "JOB_STATE_"


def words_of_the_sdk() -> list[str]:
    from fireworks.types import SupervisedFineTuningJob

    field = SupervisedFineTuningJob.model_fields["state"].annotation
    literal = next(kind for kind in get_args(field) if get_args(kind))
    return [word.removeprefix(PREFIX) for word in get_args(literal)]


def test_the_18_words_of_the_sdk_are_known_and_only_ends_are_ends() -> None:
    words = words_of_the_sdk()
    assert len(words) == 18
    backend = Fireworks()
    for word in words:
        for form in (word, PREFIX + word):
            state = backend.state_of(native(form))
            assert state is ENDS.get(word, state)
            assert state.terminal is (word in ENDS), word


@given(st.one_of(st.text(), st.integers(min_value=9), st.integers(max_value=-1), st.booleans()))
@settings(max_examples=300, deadline=None)
def test_an_unknown_word_is_never_an_end(word: Any) -> None:
    if native(word) in STATES:
        return
    assert Fireworks().state_of(native(word)) is JobState.RUNNING


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ("COMPLETED", JobState.SUCCEEDED),
        (3, JobState.SUCCEEDED),
        (4, JobState.FAILED),
        ("HANDLING_FAILURE", JobState.RUNNING),
        (77, JobState.RUNNING),
        ("PAUSED", JobState.RUNNING),
    ],
)
def test_a_state_is_read_in_every_form_that_was_seen(
    server: LoopbackFireworks, backend: Fireworks, seen: str | int, state: JobState
) -> None:
    run = submit(spec(), backend)
    (held,) = server.jobs
    held.pinned = seen
    update = backend.poll(JobId(str(run.job_id)), None)
    assert update.state is state
    assert str(seen) in (update.native, update.native.removeprefix(PREFIX)) or isinstance(seen, int)


def test_a_failure_is_told_in_the_services_words(
    server: LoopbackFireworks, backend: Fireworks
) -> None:
    server.settings.outcome = "FAILED"
    with pytest.raises(RunFailed) as caught:
        submit(spec(), backend).wait(60)
    assert caught.value.reason == "the trainer went away (INTERNAL)"


def test_the_reason_for_programs_stands_beside_the_words() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "DATASET_INVALID"}
    status = {"code": "INVALID_ARGUMENT", "message": "no valid rows", "details": [detail]}
    told = job.reason({"status": status}, "JOB_STATE_FAILED")
    assert told == "no valid rows (INVALID_ARGUMENT, DATASET_INVALID)"


def test_a_job_that_was_taken_away_has_failed_and_says_so(
    server: LoopbackFireworks, backend: Fireworks
) -> None:
    run = submit(spec(), backend)
    server.set_state(server.jobs[0], "DELETING")
    update = backend.poll(JobId(str(run.job_id)), None)
    assert (update.state, "deleted" in update.reason) == (JobState.FAILED, True)


@pytest.mark.parametrize(("objective", "nested"), [("sft", False), ("dpo", True)])
def test_metrics_come_under_trls_names(
    server: LoopbackFireworks, backend: Fireworks, nested: bool, objective: str
) -> None:
    server.settings.nested_metrics = nested
    data = chats(30) if objective == "sft" else pairs(30)
    held_out = chats(40)[30:] if objective == "sft" else None
    wanted = FineTune(
        model=MODEL,
        data=data,
        objective=objective,
        validation=held_out,
        training={"epochs": 2, "batch_size": 10, "learning_rate": 1e-4, "scheduler": "constant"},
    )
    run = submit(wanted, backend).wait(60)
    found = [event for event in run.events(False) if isinstance(event, MetricsEvent)]
    steps = [event for event in found if "loss" in event.metrics]
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
    last = steps[-1].metrics
    # The server's curve: 1 + 1.5 exp(-3 step / steps), at a constant rate.
    assert last["loss"] == pytest.approx(1 + 1.5 * math.exp(-3), abs=1e-6)
    assert (last["learning_rate"], last["epoch"]) == (1e-4, 1)
    assert set(last) == {"loss", "learning_rate", "grad_norm", "epoch", "num_tokens"}
    evaluated = [event.metrics for event in found if "loss" not in event.metrics]
    assert [set(metrics) for metrics in evaluated] == ([{"eval_loss"}] * 2 if held_out else [])


@pytest.mark.parametrize("fault", ["expired", "html", "503", "cut", "empty"])
def test_a_metrics_file_that_fails_fails_no_poll(
    server: LoopbackFireworks, backend: Fireworks, fault: Any
) -> None:
    job_id = JobId(str(submit(spec(), backend).job_id))
    server.set_state(server.jobs[0], "COMPLETED")
    # What is tried again within one poll fails each time.
    times = 4 if fault in ("503", "cut") else 1
    server.downloads.order(*[fault] * times, name="metrics.jsonl")
    update = backend.poll(job_id, None)
    assert (update.state, update.events, update.cursor) == (JobState.SUCCEEDED, (), '{"lines": 0}')
    assert backend.poll(job_id, update.cursor).events != ()


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.dictionaries(
                st.sampled_from(["step", "train/loss", "loss", "data", "eval/loss", "train/step"]),
                st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.booleans()),
            ).map(lambda row: json.dumps(row).encode()),
        ),
        max_size=6,
    )
)
@settings(max_examples=200, deadline=None)
def test_whatever_stands_in_a_metrics_file_becomes_finite_numbers(lines: list[bytes]) -> None:
    found, _ = events(b"\n".join(lines), 0, over=True)
    assert all(math.isfinite(value) for event in found for value in event.metrics.values())
    assert all(event.step >= 0 for event in found)


def test_what_was_used_is_a_list_of_facts(server: LoopbackFireworks, backend: Fireworks) -> None:
    method = {"type": "lora", "rank": 4}
    training = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-4, "warmup_ratio": 0.0}
    run = submit(spec(method=method, training=training), backend).wait(60)
    assert dict(run.used) == {
        "base_model": THERE,
        "rank": 4,
        "learning_rate": 1e-4,
        "warmup_steps": 0,
        "epochs": 2,
        "batch_size": 8,
        "weight_decay": 0.0,
        "cost": 1.25,
    }
    assert run.hosted == server.jobs[0].output


@pytest.mark.parametrize(
    ("money", "amount"),
    [
        ({"currencyCode": "USD", "units": "45", "nanos": 1}, 45.000000001),
        ({"currencyCode": "USD", "nanos": 480000000}, 0.48),
        ({"currencyCode": "USD", "units": "2"}, 2.0),
        ({"currencyCode": "EUR", "units": "2"}, None),
        ({"currencyCode": "USD", "units": "many"}, None),
        ({"currencyCode": "USD"}, None),
        (None, None),
        ("2", None),
    ],
)
def test_money_is_read_as_google_writes_it(money: Any, amount: float | None) -> None:
    assert dollars(money) == amount


def test_a_cancelled_job_is_resumed_under_its_id(
    server: LoopbackFireworks, backend: Fireworks
) -> None:
    run = submit(spec(), backend)
    run.cancel()
    while not run.refresh().state.terminal:
        pass
    assert run.state is JobState.CANCELLED
    job_id = run.job_id
    run.resume().wait(60)
    assert (run.job_id, run.state) == (job_id, JobState.SUCCEEDED)
    assert [held.resumed for held in server.jobs] == [1]


@pytest.mark.parametrize("fault", ["lost-after", "500-after"])
@pytest.mark.parametrize("verb", ["cancel", "resume"])
def test_a_lost_answer_to_a_verb_does_no_harm(
    server: LoopbackFireworks, backend: Fireworks, verb: str, fault: Any
) -> None:
    run = submit(spec(), backend)
    job_id = JobId(str(run.job_id))
    if verb == "resume":
        server.set_state(server.jobs[0], "FAILED")
    server.faults.order(f"POST {JOBS}/{server.jobs[0].id}:{verb}", fault)
    getattr(backend, verb)(job_id)
    assert server.jobs[0].resumed == (verb == "resume")


def test_a_job_that_has_succeeded_is_not_resumed(
    server: LoopbackFireworks, backend: Fireworks
) -> None:
    run = submit(spec(), backend).wait(60)
    with pytest.raises(RequestRejected, match="cannot be resumed"):
        backend.resume(JobId(str(run.job_id)))


@pytest.mark.parametrize("name", ["gdnc7fw3", "jobs/x", "accounts/acme/models/x", "dpoJobs/../x"])
def test_what_is_no_job_is_said(backend: Fireworks, name: str) -> None:
    with pytest.raises(RequestRejected, match="supervisedFineTuningJobs/ID"):
        backend.poll(JobId(name), None)


@pytest.mark.parametrize(
    ("wanted", "objective"),
    [
        (spec(training={"epochs": 3, "batch_size": 4}), "sft"),
        (spec(objective={"type": "dpo", "beta": 0.3}, data=pairs()), "dpo"),
        (spec(objective={"type": "orpo", "beta": 0.2}, data=pairs()), "orpo"),
    ],
)
def test_a_job_made_elsewhere_is_taken_up(
    server: LoopbackFireworks,
    backend: Fireworks,
    monkeypatch: pytest.MonkeyPatch,
    wanted: FineTune,
    objective: str,
) -> None:
    monkeypatch.setenv("FIREWORKS_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", "wandb-canary")
    made = submit(wanted, Fireworks(base_url=server.url, max_cost=9, wandb_project="p"))
    # Under the full name it is another id, so that no run here has it.
    run = tk.attach(f"fireworks:accounts/acme/{made.job_id}").wait(60)
    assert run.id != made.id
    assert (run.spec.model, run.spec.objective.type) == (MODEL, objective)
    if objective == "sft":
        assert (run.spec.training.epochs, run.spec.training.batch_size) == (3, 4)
    else:
        assert run.spec.objective == wanted.objective
    assert "wandb-canary" not in (run.folder / "run.json").read_text()
    assert run.adapter.folder.is_dir()
