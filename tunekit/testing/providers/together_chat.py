"""Chat at Together: the same words for the same model and messages."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, cast

from tunekit.testing.providers.checks import Refused
from tunekit.testing.providers.together_endpoints import Deployment, Endpoint
from tunekit.testing.providers.together_jobs import Job


def served(jobs: Iterable[Job], endpoints: Iterable[Endpoint]) -> dict[str, bool]:
    """Give the names that can be asked for, and whether they answer yet.

    These are the output names of completed jobs, endpoints with traffic, their deployments, and
    the adapters on those.
    """
    made = {job.object_id("adapter"): f"{job.output_name}-adapter" for job in jobs}
    names = {job.output_name: True for job in jobs if job.state == "completed"}
    for endpoint in endpoints:
        for deployment in endpoint.deployments.values():
            names |= _named(deployment, made)
        routed = [endpoint.deployments[each] for each, share in endpoint.split.items() if share > 0]
        if routed:
            names[endpoint.name] = any(deployment.ready for deployment in routed)
    return names


def _named(deployment: Deployment, made: Mapping[str, str]) -> dict[str, bool]:
    adapters = {
        made[adapter.model_id]: deployment.ready and adapter.ready
        for adapter in deployment.adapters.values()
        if adapter.model_id in made
    }
    return {deployment.name: deployment.ready, **adapters}


def answer(body: Any, names: Mapping[str, bool]) -> dict[str, Any]:
    """Answer a chat request.

    Raises:
        Refused: 400 without model or messages, 404 for an unknown model, 503 before it is ready.
    """
    told = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    model, messages = told.get("model"), told.get("messages")
    if not isinstance(model, str) or not isinstance(messages, list) or not messages:
        raise Refused(400, "model and messages are required", param="messages")
    if model not in names:
        raise Refused(404, f"Unable to access model {model}", param="model")
    if not names[model]:
        raise Refused(503, f"{model} is not ready yet", param="model")
    asked = json.dumps([model, messages], sort_keys=True)
    words = hashlib.sha256(asked.encode()).hexdigest()[:12]
    message = {"role": "assistant", "content": f"answer {words} of {model}"}
    counts = {"prompt_tokens": len(asked) // 4, "completion_tokens": 4}
    return {
        "id": f"chat-{words}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "prompt": [],
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {**counts, "total_tokens": sum(counts.values())},
    }
