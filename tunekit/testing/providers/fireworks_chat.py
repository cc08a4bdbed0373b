"""Chat with a deployed model: the same answer to the same question."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, cast

from tunekit.testing.providers.fireworks_deployments import Deployments, scaling_up
from tunekit.testing.providers.fireworks_errors import invalid
from tunekit.testing.providers.fireworks_requests import body_of
from tunekit.testing.providers.fireworks_settings import Messages, Settings
from tunekit.testing.providers.server import Reply, Request

PATHS = ("/inference/v1/chat/completions", "/v1/chat/completions")
"""The service's own path, and the one its SDK uses under another base address."""


class Chat:
    """Answer chat completions."""

    def __init__(self, deployments: Deployments, settings: Settings) -> None:
        self._deployments = deployments
        self._settings = settings

    def complete(self, request: Request) -> Reply:
        """Answer the last message."""
        body = body_of(request)
        model: Any = body.get("model")
        messages: Any = body.get("messages")
        if not isinstance(model, str):
            raise invalid("model", "is required", what="REQUIRED")
        if not _are_messages(messages):
            raise invalid("messages", "is required", what="REQUIRED")
        if body.get("stream"):
            raise invalid("stream", "this server does not stream", what="NOT_SUPPORTED")
        deployment = self._deployments.serving(model)
        if self._settings.scaling_up > 0:
            self._settings.scaling_up -= 1
            raise scaling_up()
        deployment.calls += 1
        text = self._text(model, messages).split()
        length = body.get("max_tokens") or body.get("max_completion_tokens") or len(text)
        return Reply(_completion(model, messages, text, length=length))

    def _text(self, model: str, messages: Messages) -> str:
        if self._settings.reply is not None:
            return self._settings.reply(model, messages)
        return f"{model} heard: {messages[-1].get('content')}"


def _are_messages(value: Any) -> bool:
    given = isinstance(value, list) and value != []
    return given and all(isinstance(message, dict) for message in cast("list[Any]", value))


def _completion(
    model: str, messages: Messages, words: Sequence[str], *, length: int
) -> dict[str, Any]:
    """Write a completion; a word counts as a token."""
    asked = sum(len(str(message.get("content")).split()) for message in messages)
    said = words[:length]
    digest = hashlib.sha256(f"{model} {messages}".encode()).hexdigest()
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": " ".join(said)},
        "finish_reason": "stop" if len(said) == len(words) else "length",
    }
    return {
        "id": digest[:24],
        "object": "chat.completion",
        "created": 1785578400,
        "model": model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": len(said),
            "total_tokens": asked + len(said),
        },
    }
