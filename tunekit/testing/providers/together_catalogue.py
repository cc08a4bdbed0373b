"""What Together tells of the account and of the models it serves."""

from __future__ import annotations

from typing import Any

from tunekit.testing.providers.together_endpoints import DYNAMIC, FIXED, PROJECT, SLUG
from tunekit.testing.providers.together_jobs import now

WHOAMI = {
    "type": "project_api_key",
    "api_key": {"id": "key_1"},
    "organization": {"id": "org_1", "name": "Acme"},
    "project": {"id": PROJECT, "name": "Acme", "slug": SLUG},
}


def base_id(model: str) -> str:
    """Give the registry's id of a base model."""
    return "ml_base_" + model.replace("/", "--")


def supported(model: str) -> dict[str, Any]:
    """Describe a base model, with a profile that takes adapters and one that takes none."""
    return {
        "id": base_id(model),
        "name": model,
        "displayName": model.rpartition("/")[2],
        "displayType": "chat",
        "baseModel": f"projects/together/models/{base_id(model)}",
        "baseModelId": base_id(model),
        "capabilities": ["CAPABILITY_CHAT"],
        "createdAt": now(),
        "updatedAt": now(),
        "inputModalities": ["MODALITY_TEXT"],
        "outputModalities": ["MODALITY_TEXT"],
        "products": ["PRODUCT_DEDICATED", "PRODUCT_FINE_TUNING"],
        "publisher": model.partition("/")[0],
        "status": "SUPPORTED_MODEL_STATUS_SUPPORTED",
        "deploymentProfiles": [
            _profile(model, FIXED, "ADAPTER_MODE_FIXED"),
            _profile(model, DYNAMIC, "ADAPTER_MODE_DYNAMIC"),
        ],
    }


def _profile(model: str, config: str, mode: str) -> dict[str, Any]:
    return {
        "adapterMode": mode,
        "certifiedConfigRevisionId": config.rpartition("/")[2],
        "certifiedModelRevisionId": "rv_1",
        "config": config,
        "gpuCount": 1,
        "gpuType": "H100_80GB",
        "model": f"projects/together/models/{base_id(model)}",
        "modelName": model,
        "parallelism": "TP1",
        "performanceBenchmarks": {},
        "profileId": config.rpartition("/")[2],
        "quantization": "",
    }
