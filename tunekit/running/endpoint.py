"""A trained model that its backend serves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from tunekit.backends.backend import Backend
from tunekit.errors import BackendError, RunTimeout


class Endpoint:
    """A served model; it costs money until it is stopped."""

    def __init__(self, backend: Backend, place: str, *, run_id: str) -> None:
        self._backend = backend
        self._run_id = run_id
        self.id = place
        """The backend's own name of the endpoint."""

    @property
    def state(self) -> str:
        """`starting`, `ready`, `failed` or `gone`, asked now."""
        return self._backend.serving(self.id).state

    @property
    def model(self) -> str:
        """The name to call it by in the backend's chat API."""
        return self._backend.serving(self.id).model

    def wait(self, timeout: float = 1800.0) -> Endpoint:
        """Wait until it answers.

        Raises:
            BackendError: it failed, or is gone.
            RunTimeout: `timeout` seconds have passed; it goes on starting, and costs money.
        """
        deadline = time.monotonic() + timeout
        while (now := self._backend.serving(self.id)).state == "starting":
            if time.monotonic() >= deadline:
                raise RunTimeout(
                    f"{self.id} is still {now.native or now.state}; "
                    f"`tunekit undeploy {self._run_id}` stops it",
                    run_id=self._run_id,
                )
            time.sleep(self._backend.poll_seconds)
        if now.state != "ready":
            raise BackendError(
                f"{self.id} is {now.state} ({now.native}); `tunekit undeploy {self._run_id}` "
                "clears it away",
                backend=self._backend.name,
            )
        return self

    def chat(
        self, messages: str | Sequence[Mapping[str, Any]], *, max_new_tokens: int = 128
    ) -> str:
        """Ask the model, greedily; a text is one message of the user.

        Raises:
            BackendError: it does not answer, or refuses.
        """
        asked = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        return self._backend.chat(self.model, asked, max_new_tokens=max_new_tokens)

    def stop(self) -> None:
        """Stop serving."""
        self._backend.undeploy(self.id)

    def __repr__(self) -> str:
        return f"<Endpoint {self.id} on {self._backend.name}>"
