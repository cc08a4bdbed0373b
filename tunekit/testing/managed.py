"""The contract of a service: bought once whatever is lost, paid as agreed, and no key anywhere."""

# ruff: noqa: D102 (the names of checks are sentences)
from __future__ import annotations

import contextlib
import json
import math
import pickle
import tempfile
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar

from tunekit import models
from tunekit.backends import registry
from tunekit.backends.backend import Files, JobId
from tunekit.backends.managed import Managed
from tunekit.data import render
from tunekit.data.prepare import prepare
from tunekit.errors import BackendDown, BackendError, CostNotAccepted, SubmissionUnknown
from tunekit.planning.plan import Plan
from tunekit.testing.contract import BackendContract
from tunekit.testing.providers.faults import NAMES, Fault
from tunekit.testing.providers.server import LoopbackServer
from tunekit.testing.setting import raised


class ManagedContract(BackendContract):
    """Subclass it beside a loopback server that speaks as the service does.

    ```python
    class TestHarbor(ManagedContract):
        creates = "POST /jobs"
        reads = "GET /jobs/"
        states = Harbor.states

        def server(self): return self._harbor        # started in setup_class
        def jobs(self): return len(self._harbor.jobs)
        def make(self): return Harbor(base_url=self._harbor.url, api_key=KEY, max_cost=math.inf)
        ...
    ```
    """

    COLLECTED: ClassVar[int] = 48

    creates: ClassVar[str] = ""
    """The request that starts a job: `POST /jobs`."""
    reads: ClassVar[str] = ""
    """The request that reads a job."""
    secret: ClassVar[str] = "test-key"
    """The key that `make` gives."""

    def server(self) -> LoopbackServer:
        """Give the loopback server."""
        raise NotImplementedError("a contract class of a service says where its server is")

    def jobs(self) -> int:
        """Count the jobs that the server has, of any state but cancelled."""
        raise NotImplementedError("a contract class of a service counts its jobs")

    def managed(self) -> Managed:
        """Give the backend as what it is."""
        backend = self.make()
        assert isinstance(backend, Managed)
        return backend

    def test_whatever_happens_to_the_request_one_job_is_started(self) -> None:
        for fault in NAMES:
            if fault == "drip":
                continue
            before = self.jobs()
            with self._faulty(self.creates, fault):
                self._bought()
            assert self.jobs() == before + 1, f"{fault}: {self.jobs() - before} jobs"

    def test_a_death_after_the_request_is_made_good(self) -> None:
        plan, files = self._order()
        before = self.jobs()
        backend = self.managed()
        object.__setattr__(backend, "find", _die)
        with self._faulty(self.creates, "lost-after"):
            try:
                backend.submit(plan, files, files.job.parent.name)
            except _Died:
                assert self.jobs() == before + 1
            else:
                raise AssertionError("it was sure of a job that it had no answer about")
        self.managed().submit(plan, files, files.job.parent.name)
        assert self.jobs() == before + 1

    def test_a_service_that_falls_silent_leaves_the_question_open(self) -> None:
        plan, files = self._order()
        before, backend = self.jobs(), self.managed()
        create = backend.create

        def unheard(*order: Any) -> JobId:
            self.server().faults.order(self.creates, "lost-after")
            self.server().faults.weigh("GET ", {"500-before": 1}, seed=0)
            return create(*order)

        object.__setattr__(backend, "create", unheard)
        try:
            error = raised(lambda: backend.submit(plan, files, files.job.parent.name))
        finally:
            self.server().faults.clear()
        assert isinstance(error, SubmissionUnknown), repr(error)
        assert files.job.parent.name in str(error)
        self.managed().submit(plan, files, files.job.parent.name)
        assert self.jobs() == before + 1

    def test_a_price_that_nobody_agreed_to_buys_nothing(self) -> None:
        plan, files = self._order(max_cost=0.0)
        before = self.jobs()
        error = raised(lambda: self.managed().submit(plan, files, files.job.parent.name))
        assert isinstance(error, CostNotAccepted), repr(error)
        assert self.jobs() == before

    def test_the_same_rows_are_sent_once(self) -> None:
        plan, files = self._order()
        self.managed().submit(plan, files, files.job.parent.name)
        content = (files.job / "train.jsonl").read_bytes()
        before = self._times_sent(content)
        assert before > 0, "the rows never arrived"
        self._bought()
        assert self._times_sent(content) == before, "the same file was sent twice"

    def test_rows_that_were_changed_after_the_check_buy_nothing(self) -> None:
        plan, files = self._order()
        files.train.write_bytes(files.train.read_bytes() + b"\n")
        before = self.jobs()
        error = raised(lambda: self.managed().submit(plan, files, files.job.parent.name))
        assert "changed" in str(error)
        assert self.jobs() == before

    def test_a_poll_without_an_answer_is_no_news(self) -> None:
        job_id = self._bought()
        self.server().faults.weigh(self.reads, {"500-before": 1}, seed=0)
        try:
            error = raised(lambda: self.managed().poll(job_id, None))
        finally:
            self.server().faults.clear()
        assert isinstance(error, BackendDown), repr(error)

    def test_a_state_that_nobody_knows_is_no_end(self) -> None:
        backend = self.managed()
        for word in ("", "succeeding", "JOB_STATE_NEW", "42", "\x1b[0m"):
            assert not backend.state_of(word).terminal, word

    def test_a_mark_is_the_same_every_time_and_short(self) -> None:
        marks = {key: self.managed().marker(key) for key in ("a", "b", "A long-name_ 1", "é" * 80)}
        assert marks == {key: self.managed().marker(key) for key in marks}
        assert len(set(marks.values())) == len(marks)
        for mark in marks.values():
            assert len(mark) <= 40
            assert set(mark) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")

    def test_the_key_shows_nowhere(self) -> None:
        backend = self.managed()
        job_id = self._bought()
        backend.poll(job_id, None)
        shown = [repr(backend), str(backend), json.dumps(registry.recipe(backend))]
        shown += [repr(pickle.dumps(backend)), repr(backend.http), str(vars(backend))]
        assert not [text for text in shown if self.secret in text]

    def test_a_wrong_key_is_said_by_the_name_of_its_variable(self) -> None:
        plan, files = self._order()
        kind, recipe = type(self.managed()), registry.recipe(self.make())
        recipe.pop("type")
        backend = kind(**recipe, api_key="not-the-right-one")
        error = raised(lambda: backend.submit(plan, files, files.job.parent.name))
        assert self.managed().key_name in str(error)

    def test_a_job_that_was_made_elsewhere_is_recalled(self) -> None:
        found = self.managed().recall(self._bought())
        assert found.spec["model"], "nothing says which model it was"
        json.dumps([dict(found.spec), dict(found.request)])

    def _order(self, *, max_cost: float = math.inf) -> tuple[Plan, Files]:
        """Make a plan and files of their own, as for a run."""
        spec = self.spec()
        prepared = prepare(spec)
        plan = self.make().plan(spec, models.describe(spec.model), prepared.profile)
        folder = Path(tempfile.mkdtemp(dir=self._room.name))
        (folder / "job").mkdir()
        digest = render.write(prepared.train, folder / "train.jsonl")
        files = Files(
            train=folder / "train.jsonl",
            validation=None,
            train_sha256=digest,
            validation_sha256=None,
            job=folder / "job",
        )
        return plan.model_copy(update={"max_cost": max_cost}), files

    def _bought(self) -> JobId:
        """Buy a job of its own; what was refused for now is asked for again, as a user would."""
        plan, files = self._order()
        for _ in range(3):
            with contextlib.suppress(BackendError):
                return self.managed().submit(plan, files, files.job.parent.name)
        return self.managed().submit(plan, files, files.job.parent.name)

    @contextlib.contextmanager
    def _faulty(self, request: str, fault: Fault) -> Generator[None, None, None]:
        self.server().faults.order(request, fault)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                yield
        finally:
            self.server().faults.clear()

    def _times_sent(self, content: bytes) -> int:
        """Count the requests that brought these bytes."""
        return sum(content in request.body for request in list(self.server().requests))


class _Died(BaseException):
    """The process ends here."""


def _die(*_: object) -> None:
    raise _Died
