"""The official SDK over our transport, and what is asked for beside it."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest
import together as official

from tests.backends.together.listing import Listing
from tests.backends.together.specs import bought, creates, planned, spec
from tunekit import errors
from tunekit.backends.backend import JobId
from tunekit.backends.together.backend import Together
from tunekit.events import JobState
from tunekit.testing.providers.faults import NAMES
from tunekit.testing.providers.together import LoopbackTogether


def test_the_client_lists_what_we_bought(server: LoopbackTogether, backend: Together) -> None:
    bought(server, backend, spec())

    (job,) = backend.client().fine_tuning.list().data or []

    assert job.id == server.jobs[0].id


def test_the_client_sends_nothing_twice(server: LoopbackTogether, backend: Together) -> None:
    server.faults.weigh("POST /v1/fine-tunes", {"500-after": 1}, seed=0)
    limits = {"model_limits": backend.client().fine_tuning.model_limits(model_name="Qwen/Qwen3-8B")}

    with pytest.raises(official.APIError):
        backend.client().fine_tuning.create(training_file="file-1", model="a/b", **limits)

    assert len(server.called("POST /v1/fine-tunes")) == 1


def test_the_client_asks_where_the_backend_does(server: LoopbackTogether) -> None:
    assert str(Together(base_url=server.url).client().base_url).rstrip("/") == server.url
    assert str(Together().client().base_url).rstrip("/") == "https://api.together.ai"


def test_without_the_sdk_the_line_to_install_it_is_named(
    backend: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "together", None)

    with pytest.raises(errors.MissingExtra, match=r"pip install 'tunekit-sdk\[together\]'"):
        backend.client()


def test_without_a_key_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY")

    with pytest.raises(errors.CredentialsError, match="TOGETHER_API_KEY"):
        Together().client()


@pytest.mark.parametrize("fault", [fault for fault in NAMES if fault != "drip"])
def test_whatever_happens_to_the_request_one_job_is_bought(
    server: LoopbackTogether, backend: Together, fault: Any
) -> None:
    # `estimate-price` begins with the same words, and comes first.
    server.faults.order("POST /v1/fine-tunes", None, fault)

    bought(server, backend, spec())

    assert len(server.jobs) == 1
    assert creates(server)[-1]["suffix"] == server.jobs[0].suffix


def test_jobs_are_found_by_their_mark_the_oldest_first(
    server: LoopbackTogether, backend: Together
) -> None:
    bought(server, backend, spec())
    first = server.jobs[0]
    bought(server, backend, spec())
    server.jobs[1].request = {**server.jobs[1].request, "suffix": first.suffix}
    server.jobs[1].created = "2020-01-01T00:00:00Z"

    found = backend.find(planned(spec()), first.suffix)

    assert found == [server.jobs[1].id, first.id]
    assert backend.find(planned(spec()), "another-mark") == []


def test_a_job_whose_suffix_is_not_told_is_found_by_the_name_of_its_output(
    backend: Together,
) -> None:
    marker = backend.marker("run-1")
    job = {"id": "ft-1", "created_at": "2026-08-01T10:00:00Z", "suffix": None}
    with Listing([{**job, "model_output_name": f"acme/Qwen3-8B-{marker}-1a2b"}]) as server:
        asked = Together(base_url=server.url)

        assert asked.find(planned(spec()), marker) == ["ft-1"]
        assert asked.find(planned(spec()), backend.marker("run-2")) == []


def test_a_list_that_cannot_be_read_is_not_an_empty_one(backend: Together) -> None:
    with Listing(None) as server, pytest.raises(errors.BackendDown):
        Together(base_url=server.url).find(planned(spec()), "mark")


def test_a_cancelled_job_is_cancelled_and_asking_again_is_harmless(
    server: LoopbackTogether, backend: Together
) -> None:
    bought(server, backend, spec())
    job_id = JobId(server.jobs[0].id)
    server.faults.order("POST /v1/fine-tunes/ft-", "lost-after")

    backend.cancel(job_id)

    assert backend.poll(job_id, None).state is JobState.CANCELLED
    backend.cancel(job_id)


def test_a_job_that_does_not_exist_cannot_be_cancelled(backend: Together) -> None:
    with pytest.raises(errors.RequestRejected, match="not found"):
        backend.cancel(JobId("ft-nothing"))


def test_a_job_id_cannot_lead_to_another_path(server: LoopbackTogether, backend: Together) -> None:
    with pytest.raises(errors.RequestRejected):
        backend.cancel(JobId("../files/x?y=#"))

    assert server.requests[0].path == "/v1/fine-tunes/..%2Ffiles%2Fx%3Fy%3D%23/cancel"


def test_an_address_that_is_not_encrypted_is_refused() -> None:
    with pytest.raises(errors.SpecError, match="base_url"):
        Together(base_url="http://example.com", max_cost=math.inf)
