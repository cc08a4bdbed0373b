"""Bought once, at a price that was agreed to, and not at all beyond the limits of the model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.backends.fireworks.specs import JOBS, MODEL, chats, sent, spec, turn
from tunekit.backends import registry
from tunekit.backends.fireworks.backend import Fireworks
from tunekit.errors import (
    CostNotAccepted,
    CredentialsError,
    DataError,
    QuotaError,
    RequestRejected,
    SubmissionUnknown,
)
from tunekit.running.run import Run
from tunekit.running.start import submit
from tunekit.spec.finetune import FineTune
from tunekit.testing.providers.fireworks import LoopbackFireworks


def test_the_price_is_asked_and_a_lower_budget_buys_nothing(server: LoopbackFireworks) -> None:
    with pytest.raises(CostNotAccepted) as caught:
        submit(spec(), Fireworks(base_url=server.url, max_cost=1.24))
    assert caught.value.estimate == 1.25
    assert server.jobs == []
    run = submit(spec(), Fireworks(base_url=server.url, max_cost=1.25))
    assert [job.name for job in server.jobs] == [f"accounts/acme/{run.job_id}"]


def test_without_a_budget_nothing_is_bought(server: LoopbackFireworks) -> None:
    with pytest.raises(CostNotAccepted):
        submit(spec(), Fireworks(base_url=server.url))
    assert server.jobs == []


def test_the_price_of_all_is_agreed_to_where_none_is_told(
    server: LoopbackFireworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.settings.price = 0.0
    monkeypatch.setattr(type(server.settings), "money", {"currencyCode": "EUR", "units": "1"})
    with pytest.raises(CostNotAccepted) as caught:
        submit(spec(), Fireworks(base_url=server.url, max_cost=1e6))
    assert caught.value.estimate is None
    submit(spec(), Fireworks(base_url=server.url, max_cost=math.inf))
    assert len(server.jobs) == 1


@pytest.mark.parametrize(
    "fault",
    [
        *("lost-before", "lost-after", "500-before", "500-after", "502-html-after"),
        *("200-html-after", "truncated-after", "409", "429"),
    ],
)
def test_a_fault_of_the_create_call_still_makes_one_job(
    server: LoopbackFireworks, backend: Fireworks, fault: Any
) -> None:
    server.faults.order(f"POST {JOBS}$", fault)
    run = submit(spec(), backend)
    assert [job.name for job in server.jobs] == [f"accounts/acme/{run.job_id}"]


def test_answers_that_never_come_are_said_and_found_later(
    server: LoopbackFireworks, backend: Fireworks
) -> None:
    server.faults.order(f"POST {JOBS}$", "lost-after")
    server.faults.order(f"GET {JOBS}", *["500-before"] * 100)
    with pytest.raises(SubmissionUnknown):
        submit(spec(), backend)
    server.faults.clear()
    (run,) = (Run(folder) for folder in _folders())
    run.resume()
    assert [job.name for job in server.jobs] == [f"accounts/acme/{run.job_id}"]


def _folders() -> list[Any]:
    from tunekit import store

    return list(store.folders())


def test_every_limit_of_the_model_is_named_at_once(
    server: LoopbackFireworks, backend: Fireworks
) -> None:
    server.settings.capabilities = {"trainingContextLength": 1024}
    with pytest.raises(RequestRejected) as caught:
        submit(spec(method="full", training={"max_length": 2048}), backend)
    assert "all its weights" in str(caught.value)
    assert "2048 tokens are over the 1024" in str(caught.value)
    assert server.jobs == []
    assert not sent(server, JOBS)


def test_an_unknown_model_says_how_to_name_it(
    server: LoopbackFireworks, backend: Fireworks
) -> None:
    server.settings.models = frozenset({"llama-v3p1-8b-instruct"})
    with pytest.raises(RequestRejected, match="model_name"):
        submit(spec(), backend)
    assert server.jobs == []


def test_a_prompt_of_several_turns_is_named_by_its_line(
    server: LoopbackFireworks, backend: Fireworks
) -> None:
    rows: list[dict[str, Any]] = [
        {
            "prompt": [turn("user", f"{n} + 1?")],
            "chosen": [turn("assistant", f"It is {n + 1}.")],
            "rejected": [turn("assistant", f"It is {n + 7}.")],
        }
        for n in range(9)
    ]
    rows[5]["prompt"] = [turn("user", "a"), turn("assistant", "b"), turn("user", "c")]
    with pytest.raises(DataError, match=r"train\.jsonl:6: not-expressible"):
        submit(spec(objective="dpo", data=rows), backend)
    assert server.requests == []


def test_rows_that_the_service_refuses_buy_nothing(
    server: LoopbackFireworks, backend: Fireworks
) -> None:
    empty = {"messages": [turn("user", "?"), turn("user", "?"), turn("assistant", "!")]}
    with pytest.raises(RequestRejected, match="user follows user"):
        submit(spec(data=[*chats(5), empty]), backend)
    assert server.jobs == []


def test_an_account_that_nobody_names_is_said(
    backend: Fireworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIREWORKS_ACCOUNT_ID")
    with pytest.raises(CredentialsError, match="FIREWORKS_ACCOUNT_ID"):
        submit(spec(), backend)


def test_a_wrong_key_is_said(server: LoopbackFireworks) -> None:
    with pytest.raises(CredentialsError, match="FIREWORKS_API_KEY"):
        submit(spec(), Fireworks(base_url=server.url, api_key="wrong"))


def test_a_quota_is_said(server: LoopbackFireworks, backend: Fireworks) -> None:
    server.faults.order(f"POST {JOBS}$", *["429"] * 8)
    with pytest.raises(QuotaError):
        submit(spec(), backend)
    assert server.jobs == []


def test_held_out_rows_are_sent_as_a_dataset_of_their_own(
    server: LoopbackFireworks, backend: Fireworks
) -> None:
    submit(FineTune(model=MODEL, data=chats()[:30], validation=chats()[30:]), backend)
    (job,) = server.jobs
    train, held_out = server.datasets.values()
    assert (job.body["dataset"], job.body["evaluationDataset"]) == (train.name, held_out.name)
    assert (train.rows, held_out.rows) == (30, 10)


def test_a_recipe_is_built_again_elsewhere(server: LoopbackFireworks) -> None:
    made = Fireworks(base_url=server.url, account_id="acme", region="US_IOWA_1", api_key="k-e-y")
    recipe = registry.recipe(made)
    assert registry.resolve(json.loads(json.dumps(recipe))) == made
    assert "k-e-y" not in json.dumps(recipe)


class TestWandb:
    def test_its_key_is_sent_and_kept_nowhere(
        self,
        server: LoopbackFireworks,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level("DEBUG")
        monkeypatch.setenv("WANDB_API_KEY", "wandb-canary")
        backend = Fireworks(base_url=server.url, max_cost=9, wandb_project="p")
        run = submit(spec(), backend).wait(60)
        (job,) = server.jobs
        assert job.body["wandbConfig"]["apiKey"] == "wandb-canary"
        echoed = backend.client().get(f"{JOBS}/{job.id}", cast_to=object)
        assert "wandb-canary" in json.dumps(echoed)
        kept = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
        assert len(kept) > 5
        assert not [path for path in kept if b"wandb-canary" in path.read_bytes()]
        assert "wandb-canary" not in caplog.text + repr(backend) + repr(run.used)

    def test_only_the_create_call_brings_it(
        self, server: LoopbackFireworks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WANDB_API_KEY", "wandb-canary")
        submit(spec(), Fireworks(base_url=server.url, max_cost=9, wandb_project="p"))
        carrying = [request.name for request in server.requests if b"canary" in request.body]
        assert carrying == [f"POST {JOBS}"]

    def test_without_its_key_nothing_is_bought(self, server: LoopbackFireworks) -> None:
        with pytest.raises(CredentialsError, match="WANDB_API_KEY"):
            submit(spec(), Fireworks(base_url=server.url, max_cost=9, wandb_project="p"))
        assert server.jobs == []


def test_held_out_rows_alone_may_have_weights(server: LoopbackFireworks) -> None:
    held = [{**row, "weight": 0.5} for row in chats(44)[40:43]] + chats(44)[43:]
    submit(spec(validation=held), Fireworks(base_url=server.url, max_cost=math.inf))
    weights = [
        [row["weight"] for row in map(json.loads, dataset.files["validation.jsonl"].splitlines())]
        for dataset in server.datasets.values()
        if "validation.jsonl" in dataset.files
    ]
    assert weights == [[0.5, 0.5, 0.5, 1.0]]


def test_a_run_goes_on_from_another_one(
    server: LoopbackFireworks, backend: Fireworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIREWORKS_BASE_URL", server.url)
    method = {"type": "lora", "rank": 4}
    first = run = submit(spec(method=method), backend).wait(60)
    for start in (first.id, f"fireworks:{first.job_id}", f"fireworks:{first.hosted}"):
        run = submit(spec(method=method, start_from=start), backend).wait(60)
        assert json.loads(sent(server, JOBS)[-1].body)["warmStartFrom"] == first.hosted
        assert run.used["warm_start"] == first.hosted
        assert run.adapter.folder.is_dir()
    # Under the full name it is another id, so that no run here has it.
    again = tk.attach(f"fireworks:accounts/acme/{run.job_id}")
    assert (again.spec.model, again.spec.start_from) == (MODEL, f"fireworks:{first.hosted}")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"method": {"type": "lora", "rank": 8}}, "--set method.rank=4"),
        ({"model": "meta-llama/Llama-3.2-3B-Instruct"}, "was made of"),
        ({"start_from": "fireworks:accounts/acme/models/other"}, "is no adapter there"),
        ({"start_from": "fireworks:dpoJobs/other"}, "not found"),
    ],
)
def test_a_start_that_does_not_fit_buys_nothing(
    server: LoopbackFireworks, backend: Fireworks, fields: dict[str, Any], words: str
) -> None:
    method = {"type": "lora", "rank": 4}
    first = submit(spec(method=method), backend).wait(60)
    wanted = {"method": method, "start_from": f"fireworks:{first.hosted}", **fields}
    with pytest.raises(RequestRejected, match=words):
        submit(spec(**wanted), backend)
    assert len(server.jobs) == 1
