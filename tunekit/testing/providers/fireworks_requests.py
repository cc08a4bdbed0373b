"""Whether Fireworks would take a request: keys, types, and the rules between them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from tunekit.testing.providers.fireworks_errors import Refusal, invalid
from tunekit.testing.providers.fireworks_tables import (
    DATASET,
    DEPLOYED_MODEL,
    DEPLOYMENT,
    DPO_JOB,
    LOSS_CONFIG,
    LOSS_CONFIG_EXTRAS,
    QUERIES,
    SFT_JOB,
    SFT_JOB_EXTRAS,
    TRAINING_CONFIG,
    TRAINING_CONFIG_EXTRAS,
    V2_REJECTS,
    Kind,
    Table,
)
from tunekit.testing.providers.server import Request

TABLES: Mapping[str, Table] = {
    "supervisedFineTuningJobs": {**SFT_JOB, **SFT_JOB_EXTRAS},
    "dpoJobs": {
        **DPO_JOB,
        "trainingConfig": {**TRAINING_CONFIG, **TRAINING_CONFIG_EXTRAS},
        "lossConfig": {**LOSS_CONFIG, **LOSS_CONFIG_EXTRAS},
    },
    "datasets": DATASET,
    "deployments": DEPLOYMENT,
    "deployedModels": DEPLOYED_MODEL,
}

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HIGHEST_RANK = 32
_CONTEXT_STEP = 16


def body_of(request: Request) -> dict[str, Any]:
    """Parse a body that must be an object; none at all is an empty one."""
    try:
        body = request.json()
    except ValueError as error:
        raise Refusal("INVALID_ARGUMENT", f"invalid JSON: {error}", reason="BODY_INVALID") from None
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise Refusal("INVALID_ARGUMENT", "the body is not an object", reason="BODY_INVALID")
    return cast("dict[str, Any]", body)


def checked(request: Request, collection: str) -> dict[str, Any]:
    """Give the body of a create: known keys of the right types, known parameters of the query."""
    body = body_of(request)
    for name in request.query:
        if name not in QUERIES[collection]:
            raise invalid(name, "unknown query parameter", what="UNKNOWN")
    check_table(body, TABLES[collection], "")
    return body


def check_table(value: Mapping[str, Any], table: Table, at: str) -> None:
    """Refuse the first key that is unknown or of another type.

    Raises:
        Refusal: INVALID_ARGUMENT, with a reason that names the field.
    """
    for name, inner in value.items():
        if name not in table:
            raise invalid(at + name, "unknown field", what="UNKNOWN")
        _check(inner, table[name], at + name)


def _check(value: Any, kind: Kind, at: str) -> None:
    if isinstance(kind, Mapping):
        if not isinstance(value, dict):
            raise invalid(at, "expected an object")
        check_table(cast("dict[str, Any]", value), kind, f"{at}.")
    elif isinstance(kind, frozenset):
        if not isinstance(value, str) or value not in kind:
            raise invalid(at, f"{value!r} is not one of {', '.join(sorted(kind))}")
    elif not _is(value, kind):
        raise invalid(at, f"expected {kind}, got {json.dumps(value)}")


def _is(value: Any, kind: str) -> bool:
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and math.isfinite(value)
    types = {"string": str, "boolean": bool, "object": dict, "list": list}
    return isinstance(value, types[kind])


def check_id(field: str, value: str) -> str:
    """Refuse an id that is not 1 to 63 lower-case letters, digits and hyphens."""
    if not _ID.fullmatch(value):
        raise invalid(field, f"{value!r} is not of the form [a-z0-9-]{{1,63}}")
    return value


def check_sft(body: Mapping[str, Any]) -> None:
    """Apply the rules of a supervised job."""
    _require_dataset(body)
    _check_training(body, "")


def check_dpo(body: Mapping[str, Any]) -> None:
    """Apply the rules of a preference job; the loss must be named, there is no safe default."""
    _require_dataset(body)
    training = body.get("trainingConfig")
    if training is None:
        raise invalid("trainingConfig", "is required", what="REQUIRED")
    _check_training(training, "trainingConfig.")
    loss = body.get("lossConfig", {})
    method = loss.get("method", "METHOD_UNSPECIFIED")
    if method == "METHOD_UNSPECIFIED":
        raise invalid("lossConfig.method", "must be set", what="REQUIRED")
    if method not in ("DPO", "ORPO"):
        raise invalid("lossConfig.method", f"{method} does not train on preferences")
    beta = loss.get("dpo", {}).get("beta", 0.1)
    if not 0 < beta < 0.5:
        raise invalid("lossConfig.dpo.beta", f"{beta} is not above 0 and below 0.5")
    if loss.get("orpo", {}).get("lambda", 1.0) <= 0:
        raise invalid("lossConfig.orpo.lambda", "must be above 0")


def _require_dataset(body: Mapping[str, Any]) -> None:
    if not body.get("dataset"):
        raise invalid("dataset", "is required", what="REQUIRED")


def _check_training(config: Mapping[str, Any], at: str) -> None:
    for name in config:
        if name in V2_REJECTS:
            raise invalid(at + name, "is not supported by Training V2", what="NOT_SUPPORTED")
    if bool(config.get("baseModel")) == bool(config.get("warmStartFrom")):
        raise invalid(f"{at}baseModel", "set exactly one of baseModel and warmStartFrom")
    _check_numbers(config, at)
    if len(config.get("lrScheduler", {"constant": {}})) != 1:
        raise invalid(f"{at}lrScheduler", "set exactly one of constant, linear and cosine")


def _check_numbers(config: Mapping[str, Any], at: str) -> None:
    rank = config.get("loraRank", 8)
    if rank < 0 or rank > _HIGHEST_RANK or rank & (rank - 1):
        raise invalid(f"{at}loraRank", f"{rank} is not 0 or a power of two up to {_HIGHEST_RANK}")
    length = config.get("maxContextLength", _CONTEXT_STEP)
    if length <= 0 or length % _CONTEXT_STEP:
        raise invalid(f"{at}maxContextLength", f"{length} is not a multiple of {_CONTEXT_STEP}")
    if config.get("epochs", 1) < 1:
        raise invalid(f"{at}epochs", "must be at least 1")
    for name in ("learningRate", "batchSizeSamples"):
        if config.get(name, 1) <= 0:
            raise invalid(at + name, "must be above 0")
    for name in (
        "learningRateWarmupSteps",
        "optimizerWeightDecay",
        "samplerCheckpointSaveIntervalSteps",
    ):
        if config.get(name, 0) < 0:
            raise invalid(at + name, "must not be negative")
