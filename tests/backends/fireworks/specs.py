"""Rows and specs for a service that trains nothing."""

from __future__ import annotations

from typing import Any

from tunekit import models
from tunekit.backends.fireworks.backend import Fireworks
from tunekit.data.prepare import prepare
from tunekit.planning.plan import Plan
from tunekit.spec.finetune import FineTune
from tunekit.testing.providers.fireworks import LoopbackFireworks
from tunekit.testing.providers.server import Request

MODEL = "meta-llama/Llama-3.2-1B-Instruct"
THERE = "accounts/fireworks/models/llama-v3p2-1b-instruct"
JOBS = "/v1/accounts/acme/supervisedFineTuningJobs"
PAIR_JOBS = "/v1/accounts/acme/dpoJobs"


def chats(count: int = 40) -> list[dict[str, Any]]:
    asked = [(f"{n} + 1?", f"{n + 1}") for n in range(count)]
    return [{"messages": [turn("user", ask), turn("assistant", say)]} for ask, say in asked]


def pairs(count: int = 40) -> list[dict[str, Any]]:
    return [
        {"prompt": f"{n} + 1?", "chosen": f"It is {n + 1}.", "rejected": f"It is {n + 7}."}
        for n in range(count)
    ]


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def spec(**fields: Any) -> FineTune:
    """Give a spec whose rows all train."""
    return FineTune(**{"model": MODEL, "data": chats(), "validation": None, **fields})


def planned(wanted: FineTune, **options: Any) -> Plan:
    profile = prepare(wanted).profile
    return Fireworks(**options).plan(wanted, models.describe(wanted.model), profile)


def body(wanted: FineTune, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = planned(wanted, **options).request["body"]
    return found


def refused(wanted: FineTune, **options: Any) -> dict[str, str]:
    """Give the reason for each field that the plan refuses."""
    return {change.field: change.reason for change in planned(wanted, **options).unsupported}


def sent(server: LoopbackFireworks, path: str, method: str = "POST") -> list[Request]:
    """Give the requests to exactly this path."""
    return [request for request in server.requests if request.name == f"{method} {path}"]
