"""A fake service whose models answer: the tuned one with the last word of the question."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tunekit.backends.backend import JobId, Serving
from tunekit.testing.fake import FakeBackend

asked: list[tuple[str, int]] = []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chatty(FakeBackend):
    """Serves what it has not trained."""

    name: ClassVar[str] = "chatty"

    def deploy(self, job_id: JobId, key: str) -> str:
        return "place"

    def serving(self, endpoint: str) -> Serving:
        return Serving(state="ready", model="tuned")

    def undeploy(self, endpoint: str) -> None:
        return None

    def chat(
        self, model: str, messages: Sequence[Mapping[str, Any]], *, max_new_tokens: int = 128
    ) -> str:
        asked.append((model, max_new_tokens))
        words = str(messages[-1]["content"]).split()
        return words[-1] if model == "tuned" else words[0]
