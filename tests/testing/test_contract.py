"""The contract, passed by the fake backend, and able to fail."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tunekit.backends.backend import Backend, Capabilities, JobId, Update
from tunekit.data.profile import Profile
from tunekit.errors import AdapterError
from tunekit.events import JobState, MetricsEvent
from tunekit.models import Model
from tunekit.planning.plan import Plan
from tunekit.spec.finetune import FineTune
from tunekit.testing import BackendContract, FakeBackend, checks
from tunekit.testing.full import VALUES, combinations, full, members

ROWS = [{"prompt": f"{n} + 1 =", "completion": f" {n + 1}"} for n in range(20)]
STATES = {state.value: state for state in JobState}


class TestFakeBackend(BackendContract):
    states = STATES
    registered = False
    failure = "no luck"

    def make(self) -> Backend:
        return FakeBackend(steps=2)

    def spec(self) -> FineTune:
        return FineTune(model="org/a-model", data=ROWS)

    def failing(self) -> tuple[Backend, FineTune]:
        return FakeBackend(outcome="failed", reason="no luck today"), self.spec()


class TestFakeBackendThatRefuses(TestFakeBackend):
    refuses = frozenset({"training.seed", "method.rank", "objective.beta"})

    def make(self) -> Backend:
        return FakeBackend(refuses=tuple(self.refuses))


def test_the_number_of_checks_is_counted() -> None:
    assert len(checks(BackendContract)) == BackendContract.COLLECTED


def test_every_check_is_collected_for_every_backend(request: pytest.FixtureRequest) -> None:
    classes = [
        item.cls
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.cls and issubclass(item.cls, BackendContract)
    ]

    assert TestFakeBackend in classes
    assert [kind for kind, count in Counter(classes).items() if count != kind.COLLECTED] == []


@pytest.mark.parametrize("kind", [*members("method"), *members("objective")])
def test_a_full_spec_sets_every_field_of_every_part(kind: type[Any]) -> None:
    for name, field in kind.model_fields.items():
        if name != "type":
            assert VALUES[name] != field.default


def test_a_full_spec_sets_every_field() -> None:
    least = FineTune(model="org/a-model", data=ROWS)

    for method, objective in combinations():
        wishes = full(least, method, objective).minimal()
        # Every backend has its own names for what one can start from.
        assert wishes.keys() == FineTune.model_fields.keys() - {"extra", "start_from"}
        for part in ("training", "evaluation", "output"):
            fields = FineTune.model_fields[part].annotation.model_fields  # type: ignore[union-attr]
            assert wishes[part].keys() == fields.keys()


class Forgetful(FakeBackend):
    """Lose a field in silence."""

    def plan(self, spec: FineTune, model: Model, data: Profile) -> Plan:
        plan = super().plan(spec, model, data)
        del plan.request["training"]["seed"]
        return plan


class Repeating(FakeBackend):
    """Give the same id to every event."""

    def poll(self, job_id: JobId, cursor: str | None) -> Update:
        update = super().poll(job_id, cursor)
        same = tuple(event.model_copy(update={"id": "1"}) for event in update.events)
        return Update(**{**vars(update), "events": same})


class Vague(FakeBackend):
    """Fail without saying why."""

    def poll(self, job_id: JobId, cursor: str | None) -> Update:
        return Update(**{**vars(super().poll(job_id, cursor)), "reason": ""})


class Reviving(FakeBackend):
    """Take an ended job for a running one, sometimes."""

    def poll(self, job_id: JobId, cursor: str | None) -> Update:
        update = super().poll(job_id, cursor)
        late = update.state.terminal and not update.events
        return Update(**{**vars(update), "state": JobState.RUNNING}) if late else update


class Impatient(FakeBackend):
    """Raise something of Python's own when asked too early."""

    def fetch(self, job_id: JobId, into: Path) -> None:
        try:
            super().fetch(job_id, into)
        except AdapterError:
            raise KeyError(job_id) from None


class Endless(FakeBackend):
    """Report a loss that is no number."""

    def poll(self, job_id: JobId, cursor: str | None) -> Update:
        update = super().poll(job_id, cursor)
        broken = tuple(
            event.model_copy(update={"metrics": {"loss": float("nan")}})
            if isinstance(event, MetricsEvent)
            else event
            for event in update.events
        )
        return Update(**{**vars(update), "events": broken})


class Calling(FakeBackend):
    """Look for a key while planning."""

    def plan(self, spec: FineTune, model: Model, data: Profile) -> Plan:
        import os

        os.environ.get("FAKE_API_KEY")
        return super().plan(spec, model, data)


class Doubling(FakeBackend):
    """Start a job for every call."""

    def submit(self, plan: Plan, files: Any, key: str) -> JobId:
        job = files.job
        while (job / "fake.json").exists():
            job = job / "again"
            job.mkdir()
        return super().submit(plan, type(files)(**{**vars(files), "job": job}), key)


class Careless(FakeBackend):
    """Claim that it cannot cancel, and do it all the same."""

    capabilities: ClassVar[Capabilities] = Capabilities(cancel=False)


class Scribbling(FakeBackend):
    """Change the rows it was given."""

    def submit(self, plan: Plan, files: Any, key: str) -> JobId:
        files.train.write_text(json.dumps({"prompt": "", "completion": ""}) + "\n")
        return super().submit(plan, files, key)


FAULTS: dict[str, type[FakeBackend]] = {
    "test_every_wish_leaves_a_trace_in_the_plan": Forgetful,
    "test_event_ids_are_unique": Repeating,
    "test_a_failed_job_says_why": Vague,
    "test_an_ended_job_stays_ended": Reviving,
    "test_the_state_never_goes_back": Reviving,
    "test_fetch_before_the_end_is_a_typed_error": Impatient,
    "test_metrics_are_finite_numbers_under_known_names": Endless,
    "test_planning_opens_no_socket_and_reads_no_key": Calling,
    "test_one_key_starts_one_job": Doubling,
    "test_cancelling_twice_and_after_the_end_is_harmless": Careless,
    "test_the_data_is_as_it_was_hashed_when_the_job_is_over": Scribbling,
}


@pytest.mark.parametrize("check", FAULTS)
def test_a_faulty_backend_fails_the_check_meant_for_it(check: str) -> None:
    faulty = FAULTS[check]

    class Contract(TestFakeBackend):
        __test__ = False

        def make(self) -> Backend:
            return faulty()

        def failing(self) -> tuple[Backend, FineTune]:
            return faulty(outcome="failed", reason="no luck"), self.spec()

    Contract.setup_class()
    with pytest.raises(AssertionError):
        getattr(Contract(), check)()
    Contract.teardown_class()


def test_a_check_that_was_overridden_is_noticed() -> None:
    class Contract(TestFakeBackend):
        __test__ = False

        def test_event_ids_are_unique(self) -> None:
            """Pass whatever happens."""

    with pytest.raises(AssertionError, match="test_event_ids_are_unique"):
        Contract().test_no_check_was_taken_away()


def test_a_known_gap_must_fail() -> None:
    class Contract(TestFakeBackend):
        __test__ = False
        gaps: ClassVar[dict[str, str]] = {"test_a_plan_is_equal_twice": "it has a clock"}

    with pytest.raises(AssertionError, match=r"take it out of `gaps` \(it has a clock\)"):
        Contract().test_a_plan_is_equal_twice()
    Contract().test_no_check_was_taken_away()
