"""Checks of a job's life: forward only, readable from anywhere, started once."""

# ruff: noqa: D102 (the names of checks are sentences)
from __future__ import annotations

import math

from tunekit.backends.backend import JobId
from tunekit.errors import UnsupportedError
from tunekit.events import Event, JobState, MetricsEvent
from tunekit.testing.setting import Setting, raised

METRICS = frozenset(
    {
        *("loss", "learning_rate", "grad_norm", "epoch", "max_steps"),
        *("num_tokens", "mean_token_accuracy", "entropy", "tokens_per_second", "train_loss"),
        "memory_bytes",
        *(f"rewards/{name}" for name in ("chosen", "rejected", "margins", "accuracies")),
        *(f"{name}/{side}" for name in ("logps", "logits") for side in ("chosen", "rejected")),
    }
)
"""TRL's names, and two of ours; each also with `eval_` in front."""

_ORDER = {JobState.QUEUED: 0, JobState.RUNNING: 1}


class LifeChecks(Setting):
    """Queued, running, over; the same from every process."""

    def test_a_good_job_succeeds(self) -> None:
        last = self.finished().last
        assert last.state is JobState.SUCCEEDED, f"{last.state}: {last.reason}\n{last.log}"

    def test_the_state_never_goes_back(self) -> None:
        ranks = [_ORDER.get(update.state, 2) for _, update in self.finished().answers]
        assert ranks == sorted(ranks)

    def test_an_ended_job_stays_ended(self) -> None:
        job = self.finished()
        ended = {update.state for _, update in job.answers if update.state.terminal}
        assert ended == {job.last.state}
        assert job.backend.poll(job.job_id, job.last.cursor).state is job.last.state

    def test_its_words_for_states_are_in_its_table(self) -> None:
        seen = {update.native: update.state for _, update in self.finished().answers}
        assert seen.items() <= self.states.items(), f"{seen} is not within {dict(self.states)}"

    def test_its_table_reaches_each_end(self) -> None:
        ends = {JobState.SUCCEEDED, JobState.FAILED}
        if self.make().capabilities.cancel:
            ends.add(JobState.CANCELLED)
        assert ends <= set(self.states.values())

    def test_event_ids_are_unique(self) -> None:
        ids = [event.id for event in self._events()]
        assert all(ids), "an event has no id"
        assert len(ids) == len(set(ids)), f"ids occur twice: {ids}"

    def test_one_cursor_gives_the_same_events(self) -> None:
        job = self.finished()
        for cursor, update in job.answers:
            again = job.backend.poll(job.job_id, cursor).events
            assert again[: len(update.events)] == update.events, f"cursor {cursor!r}"
        whole = job.backend.poll(job.job_id, None).events
        assert list(whole) == self._events()

    def test_metrics_are_finite_numbers_under_known_names(self) -> None:
        found = [event for event in self._events() if isinstance(event, MetricsEvent)]
        if not self.make().capabilities.metrics:
            assert not found, "metrics arrive, but the capability says there are none"
            return
        assert any("loss" in event.metrics for event in found), "no event holds a loss"
        for event in found:
            assert event.step >= 0
            for name, value in event.metrics.items():
                assert name.removeprefix("eval_") in METRICS, f"unknown metric {name!r}"
                assert math.isfinite(value), f"{name} is {value} at step {event.step}"

    def test_a_failed_job_says_why(self) -> None:
        backend, spec = self.failing()
        update = self.follow(self.start(backend, spec))
        assert update.state is JobState.FAILED
        assert update.reason.strip(), "the job failed without a reason"
        assert self.failure in update.reason

    def test_cancelling_twice_and_after_the_end_is_harmless(self) -> None:
        backend, spec = self.endless()
        job = self.start(backend, spec)
        if not backend.capabilities.cancel:
            assert isinstance(raised(lambda: backend.cancel(job.job_id)), UnsupportedError)
            self.follow(job)
            return
        backend.cancel(job.job_id)
        backend.cancel(job.job_id)
        assert self.follow(job).state is JobState.CANCELLED
        backend.cancel(job.job_id)
        assert backend.poll(job.job_id, None).state is JobState.CANCELLED

    def test_resuming_without_the_capability_is_refused(self) -> None:
        job = self.finished()
        if not job.backend.capabilities.resume:
            error = raised(lambda: job.backend.resume(job.job_id))
            assert isinstance(error, UnsupportedError)

    def test_one_key_starts_one_job(self) -> None:
        job = self.finished()
        assert job.again == job.job_id

    def test_a_job_that_does_not_exist_is_a_typed_error(self) -> None:
        backend = self.make()
        raised(lambda: backend.poll(JobId(f"{self._room.name}/no-such-job"), None))

    def test_another_process_finishes_the_run_with_its_id_alone(self) -> None:
        assert self.handed_over().state is JobState.SUCCEEDED

    def _events(self) -> list[Event]:
        return [event for _, update in self.finished().answers for event in update.events]
