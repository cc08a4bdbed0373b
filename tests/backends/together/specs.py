"""Rows and specs for a service that trains nothing."""

from __future__ import annotations

import json
from typing import Any

from tunekit import models
from tunekit.backends.together.backend import Together
from tunekit.data.prepare import prepare
from tunekit.planning.plan import Plan
from tunekit.running.start import submit
from tunekit.spec.finetune import FineTune
from tunekit.testing.providers.together import LoopbackTogether

MODEL = "Qwen/Qwen3-8B"


def questions(count: int = 40) -> list[dict[str, Any]]:
    return [{"prompt": f"{n} + 1 =", "completion": f" {n + 1}"} for n in range(count)]


def held_out(count: int = 10) -> list[dict[str, Any]]:
    return [{"prompt": f"{n} - 1 =", "completion": f" {n - 1}"} for n in range(count)]


def pairs(count: int = 40) -> list[dict[str, Any]]:
    return [
        {"prompt": f"{n} + 1?", "chosen": f"It is {n + 1}.", "rejected": f"It is {n + 7}."}
        for n in range(count)
    ]


def chats(count: int = 40) -> list[dict[str, Any]]:
    return [
        {"messages": chat(f"{n} + 1?", f"{n + 1}", f"{n} + 2?", f"{n + 2}")} for n in range(count)
    ]


def chat(*said: str) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[turn % 2], "content": text} for turn, text in enumerate(said)]


def spec(**fields: Any) -> FineTune:
    """Give a spec whose rows all train."""
    return FineTune(**{"model": MODEL, "data": questions(), "validation": None, **fields})


def planned(wanted: FineTune, **options: Any) -> Plan:
    profile = prepare(wanted).profile
    return Together(**options).plan(wanted, models.describe(wanted.model), profile)


def request(wanted: FineTune, **options: Any) -> dict[str, Any]:
    return planned(wanted, **options).require().request


def refused(wanted: FineTune, **options: Any) -> dict[str, str]:
    """Give the reason for each field that the plan refuses."""
    return {change.field: change.reason for change in planned(wanted, **options).unsupported}


def bought(server: LoopbackTogether, backend: Together, wanted: FineTune) -> dict[str, Any]:
    """Submit, and give the body that started the job."""
    submit(wanted, backend)
    found: dict[str, Any] = creates(server)[-1]
    return found


def creates(server: LoopbackTogether) -> list[dict[str, Any]]:
    """Give the bodies that asked for a job."""
    found = [each for each in server.requests if each.name == "POST /v1/fine-tunes"]
    return [json.loads(each.body) for each in found]


def rows_of(server: LoopbackTogether, file_id: str) -> list[dict[str, Any]]:
    """Give the rows of a file as they arrived."""
    content = server.files[file_id].content or b""
    return [json.loads(line) for line in content.splitlines()]
