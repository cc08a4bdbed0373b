"""Keys of other accounts go to Together with a job, and to no other place."""

from __future__ import annotations

import logging
import math
import pickle
from pathlib import Path

import pytest

import tunekit as tk
from tests.backends.together.specs import bought, creates, spec
from tunekit import errors
from tunekit.backends import registry
from tunekit.backends.together.backend import Together
from tunekit.testing.providers.together import LoopbackTogether

WANDB, HUB = "wandb-key-0123456789abcdef", "hf_token0123456789abcdef"


@pytest.fixture
def tracked(server: LoopbackTogether, monkeypatch: pytest.MonkeyPatch) -> Together:
    monkeypatch.setenv("WANDB_API_KEY", WANDB)
    monkeypatch.setenv("HF_TOKEN", HUB)
    return Together(
        base_url=server.url,
        max_cost=math.inf,
        wandb_project="support",
        wandb_entity="acme",
        wandb_name="first",
        hub_repo="acme/support",
    )


def test_the_job_is_told_where_to_report(server: LoopbackTogether, tracked: Together) -> None:
    body = bought(server, tracked, spec())

    # The names that the official SDK sends; the API's own page says wandb_api_key.
    assert body["wandb_key"] == WANDB
    assert body["wandb_project_name"] == "support"
    assert body["wandb_entity"] == "acme"
    assert body["wandb_name"] == "first"
    assert body["hf_api_token"] == HUB
    assert body["hf_output_repo_name"] == "acme/support"


def test_no_key_is_kept_anywhere(
    server: LoopbackTogether, tracked: Together, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    run = tk.run(spec(), tracked, progress=False)

    shown = [
        *(repr(tracked), str(tracked), repr(run.plan), str(run.plan), caplog.text),
        *(str(registry.recipe(tracked)), repr(pickle.dumps(tracked))),
        *(path.read_text("utf-8", "replace") for path in run.folder.rglob("*") if path.is_file()),
    ]
    for key in (WANDB, HUB, "test-key"):
        assert not [text for text in shown if key in text]


def test_a_key_that_the_service_repeats_is_blanked_out(
    server: LoopbackTogether, tracked: Together
) -> None:
    bought(server, tracked, spec())
    job = server.jobs[0]
    job.events[0]["message"] = f"logging in with {WANDB}"

    update = tracked.poll(tk.JobId(job.id), None)

    assert WANDB not in repr(update)
    assert "logging in with ***" in repr(update)


@pytest.mark.parametrize(
    ("option", "variable"),
    [({"wandb_project": "support"}, "WANDB_API_KEY"), ({"hub_repo": "acme/a"}, "HF_TOKEN")],
)
def test_a_key_that_is_missing_stops_before_anything_is_bought(
    server: LoopbackTogether, option: dict[str, str], variable: str
) -> None:
    backend = Together(base_url=server.url, max_cost=math.inf, **option)

    with pytest.raises(errors.CredentialsError, match=variable):
        bought(server, backend, spec())

    assert not creates(server)


def test_a_job_that_was_refused_does_not_show_the_key(
    server: LoopbackTogether, tracked: Together
) -> None:
    server.key = "another"

    with pytest.raises(errors.CredentialsError) as caught:
        bought(server, tracked, spec())

    assert "TOGETHER_API_KEY" in str(caught.value)
    assert "test-key" not in str(caught.value)
