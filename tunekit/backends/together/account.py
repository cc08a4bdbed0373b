"""What a job is told of other accounts, and never keeps: Weights & Biases, the Hugging Face hub."""

from __future__ import annotations

import contextlib
from typing import Any

from tunekit.backends import secret
from tunekit.errors import CredentialsError


def fields(
    *,
    project: str | None,
    entity: str | None,
    name: str | None,
    hub_repo: str | None,
) -> dict[str, Any]:
    """Give the fields for what was asked; the keys come from the environment, now.

    Raises:
        CredentialsError: a key is not there.
    """
    told: dict[str, Any] = {}
    if project or entity or name:
        told["wandb_key"] = _key("WANDB_API_KEY", "backend.wandb_project, _entity or _name")
        told |= {"wandb_project_name": project, "wandb_entity": entity, "wandb_name": name}
    if hub_repo:
        told["hf_api_token"] = _key("HF_TOKEN", "backend.hub_repo")
        told["hf_output_repo_name"] = hub_repo
    return {field: value for field, value in told.items() if value is not None}


def mind() -> None:
    """Let these keys be blanked out in whatever a service repeats."""
    for variable in ("WANDB_API_KEY", "HF_TOKEN"):
        with contextlib.suppress(CredentialsError):
            secret.of(None, variable)


def _key(variable: str, wanted: str) -> secret.Secret:
    found = secret.of(None, variable)
    if found is None:
        raise CredentialsError(
            f"together: {wanted} is set, and the environment has no {variable}; set it, or leave "
            "the option out",
            backend="together",
        )
    return found
