"""Jobs: what is sent to buy one, and what one says of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from tunekit.backends.answer import Unsure
from tunekit.backends.fireworks import money
from tunekit.backends.fireworks.account import Account
from tunekit.backends.fireworks.look import items, look, table
from tunekit.backends.fireworks.states import GONE
from tunekit.backends.journal import Upload
from tunekit.backends.secret import hide
from tunekit.errors import BackendDown, RequestRejected
from tunekit.planning.plan import Plan
from tunekit.printable import printable

SUPERVISED = "supervisedFineTuningJobs"
PREFERENCE = "dpoJobs"
_ID_FIELDS = {SUPERVISED: "supervisedFineTuningJobId", PREFERENCE: "dpoJobId"}
_NAME = re.compile(
    rf"(accounts/(?P<account>[a-z0-9-]+)/)?(?P<collection>{SUPERVISED}|{PREFERENCE})"
    r"/(?P<key>[a-z0-9-]{1,63})"
)
_FACTS = {
    "base_model": "baseModel",
    "warm_start": "warmStartFrom",
    "rank": "loraRank",
    "learning_rate": "learningRate",
    "warmup_steps": "learningRateWarmupSteps",
    "epochs": "epochs",
    "batch_size": "batchSizeSamples",
    "max_length": "maxContextLength",
    "weight_decay": "optimizerWeightDecay",
}
_NOT_OFFERED = (404, 405, 501)


_MODEL = re.compile(r"accounts/[a-z0-9-]+/models/[a-z0-9-]{1,63}")


class Place(NamedTuple):
    """Where a job is."""

    collection: str
    key: str
    account: str = ""
    """Empty: the backend's own."""


def place_of(job_id: str) -> Place:
    """Read a job id: `COLLECTION/ID`, or the full name that begins with the account.

    Raises:
        RequestRejected: it is none.
    """
    match = _NAME.fullmatch(job_id)
    if match is None:
        raise RequestRejected(
            f"fireworks: {job_id!r} is no job; they are named {SUPERVISED}/ID or {PREFERENCE}/ID",
            backend="fireworks",
        )
    return Place(match["collection"], match["key"], match["account"] or "")


def is_start(name: str) -> bool:
    """Say whether a name is one of a model, or of a job, to go on from."""
    return bool(_MODEL.fullmatch(name) or _NAME.fullmatch(name))


def started(account: Account, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Name the model of the job that training goes on from, where the job is named."""
    start = str(settings.get("warmStartFrom") or "")
    if not _NAME.fullmatch(start):
        return dict(settings)
    place = place_of(start)
    owner = Account(account.http, place.account) if place.account else account
    made = account.get(owner.name(place.collection, place.key))
    return {**settings, "warmStartFrom": output(made)}


def body(
    account: Account, plan: Plan, uploads: Mapping[str, Upload], marker: str
) -> dict[str, Any]:
    """Complete the request of a plan with what is only known when it is sent."""
    planned: dict[str, Any] = dict(plan.request["body"])
    if "trainingConfig" in planned:
        planned["trainingConfig"] = started(account, planned["trainingConfig"])
    else:
        planned = started(account, planned)
    made: dict[str, Any] = {"dataset": uploads["train"].id, **planned}
    output = {"outputModel": account.name("models", marker)}
    if "trainingConfig" in planned:
        made["trainingConfig"] = {**output, **planned["trainingConfig"]}
    else:
        made = {**output, **made}
    if "validation" in uploads:
        made["evaluationDataset"] = uploads["validation"].id
    return made


def create(account: Account, collection: str, marker: str, content: Mapping[str, Any]) -> str:
    """Start the job under the mark as its id; sent once.

    Raises:
        Unsure: the answer is not that of the job.
    """
    made = account.http.call(
        "POST",
        f"/v1/accounts/{account.id}/{collection}",
        query={_ID_FIELDS[collection]: marker},
        send=dict(content),
        idempotent=False,
    ).object()
    if made.get("name") != account.name(collection, marker):
        raise Unsure(
            f"fireworks: answered the start of {collection}/{marker} with another thing",
            backend="fireworks",
        )
    return f"{collection}/{marker}"


def estimate(account: Account, collection: str, content: Mapping[str, Any]) -> float | None:
    """Ask for the price in US dollars; None where Fireworks does not say."""
    shown = {name: value for name, value in content.items() if name != "wandbConfig"}
    answer = account.http.call(
        "POST",
        f"/v1/accounts/{account.id}/{collection}:estimateCost",
        send=shown,
        idempotent=True,
        expect=_NOT_OFFERED,
    )
    if answer.status in _NOT_OFFERED:
        return None
    return money.dollars(answer.object().get("estimatedCost"))


def config(job: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the settings of the training: inside for pairs, on top for chats."""
    return table(job, "trainingConfig") or job


def output(job: Mapping[str, Any]) -> str:
    """Give the full name of the model that a job makes.

    Raises:
        BackendDown: the job does not say.
    """
    _, account, _, key = (str(job.get("name")).split("/") + [""] * 4)[:4]
    named = config(job).get("outputModel") or key
    if not named:
        raise BackendDown("fireworks: the job names no model; try again later", backend="fireworks")
    return str(named) if "/" in str(named) else f"accounts/{account}/models/{named}"


def used(job: Mapping[str, Any]) -> dict[str, Any]:
    """Give what was really used; a list of what is kept, since a job also repeats keys."""
    settings = config(job)
    facts: dict[str, Any] = {name: settings.get(field) for name, field in _FACTS.items()}
    facts["cost"] = money.dollars(job.get("estimatedCost"))
    facts["tokens"] = look(job, "jobProgress", "inputTokens")
    return {name: held for name, held in facts.items() if isinstance(held, (int, float, str))}


def reason(job: Mapping[str, Any], native: str) -> str:
    """Say why a job failed, in Fireworks' words, with the reason that programs read."""
    if native in GONE:
        return f"the job was deleted at Fireworks ({native})"
    words = look(job, "status", "message") or "Fireworks gives no reason"
    code = look(job, "status", "code") or native
    reasons = [look(detail, "reason") for detail in items(job, "status", "details")]
    beside = ", ".join(str(said) for said in (code, *reasons) if said)
    return printable(hide(f"{words} ({beside})"))
