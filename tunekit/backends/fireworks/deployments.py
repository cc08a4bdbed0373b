"""Models that are served: on deployments of their own, or as adapters beside each other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunekit.backends.answer import Answer, NotFound, Unsure
from tunekit.backends.backend import Serving
from tunekit.backends.fireworks.account import Account
from tunekit.backends.fireworks.look import items, look
from tunekit.backends.wait import until
from tunekit.errors import BackendDown, RequestRejected

_GONE = frozenset({"DELETED", "DELETING"})
_STATES: Mapping[str, Literal["starting", "ready", "failed", "gone"]] = {
    "READY": "ready",
    "DEPLOYED": "ready",
    "FAILED": "failed",
    "DELETING": "gone",
    "DELETED": "gone",
    "UNDEPLOYING": "gone",
}
"""Anything else is on its way."""
_LIMIT = 900.0
"""Seconds that a deployment may take to scale up from nothing."""


@dataclass(frozen=True)
class Deployments:
    """An endpoint is named `MODEL#DEPLOYMENT`, which is also what a chat calls."""

    account: Account
    pause: float
    shape: str
    """Hardware, by its name; `default` lets Fireworks choose."""

    def merged(self, model: str, key: str) -> str:
        """Serve a model on a deployment of its own, its adapter merged into the base."""
        return f"{model}#{self._made(model, key, {})}"

    def beside(self, model: str, base: str) -> str:
        """Serve an adapter on the one deployment of its base that takes many."""
        key = f"tk-base-{hashlib.sha256(base.encode()).hexdigest()[:24]}"
        endpoint = f"{model}#{self._made(base, key, {'enableAddons': True})}"
        self._stands(endpoint.partition("#")[2])
        if self._loaded(endpoint) is None:
            self._load(endpoint)
        return endpoint

    def serving(self, endpoint: str) -> Serving:
        """Say how it stands: the deployment first, then the adapter on it."""
        model, _, name = endpoint.partition("#")
        found = self.account.find(name) or {"state": "DELETED"}
        word, state = str(found.get("state")), _STATES.get(str(found.get("state")), "starting")
        if state == "ready" and found.get("enableAddons"):
            loaded = self._loaded(endpoint)
            word = str(loaded.get("state")) if loaded else "UNDEPLOYING"
            state = _STATES.get(word, "starting")
        return Serving(state=state, model=f"{model}#{name}", native=word)

    def stop(self, endpoint: str) -> None:
        """Take the adapter off, and give the hardware back when nothing else is on it."""
        name = endpoint.partition("#")[2]
        found = self.account.find(name)
        if found is None or found.get("state") in _GONE:
            return
        if found.get("enableAddons"):
            if (loaded := self._loaded(endpoint)) is not None:
                self._delete(str(loaded["name"]))
            others = self.account.listed("deployedModels")
            if any(other.get("deployment") == name for other in others):
                return
        # Traffic within the hour would keep it, and its costs, alive.
        self._delete(name, ignoreChecks="true")

    def chat(self, model: str, messages: Sequence[Mapping[str, Any]], *, most: int) -> str:
        """Ask a served model; one that was scaled to nothing is waited for."""
        asked = {
            "model": model,
            "messages": [dict(message) for message in messages],
            "max_tokens": most,
            "temperature": 0,
        }
        answer = until(
            lambda answer: answer.status != 503,
            lambda: self._asked(asked),
            pause=self.pause,
            patience=_LIMIT,
            late=lambda answer: BackendDown(
                f"fireworks: {model}: {answer.words}", backend="fireworks"
            ),
        )
        return _text(answer)

    def _asked(self, question: Mapping[str, Any]) -> Answer:
        return self.account.http.call(
            "POST",
            "/inference/v1/chat/completions",
            send=dict(question),
            idempotent=True,
            expect=(503,),
            timeout=300.0,
        )

    def _made(self, base: str, key: str, more: Mapping[str, Any]) -> str:
        """Make the deployment of a key, or give the one there is; one that is gone is replaced."""
        content = {
            "baseModel": base,
            "deploymentShape": self.shape,
            "minReplicaCount": 0,
            "maxReplicaCount": 1,
            **more,
        }
        number = 1
        while True:
            one = key if number == 1 else f"{key}-{number}"
            name = self.account.name("deployments", one)
            found = self.account.ensure(name, content, {"deploymentId": one})
            if found.get("state") not in _GONE:
                return name
            number += 1

    def _stands(self, name: str) -> None:
        """Wait until a deployment takes adapters."""

        def ready(word: str) -> bool:
            if word != "READY" and word in _STATES:
                raise late(word)
            return word == "READY"

        def late(word: str) -> BackendDown:
            return BackendDown(
                f"fireworks: {name} is {word}; deploy again when it is READY", backend="fireworks"
            )

        until(
            ready,
            lambda: str(self.account.get(name).get("state")),
            pause=self.pause,
            patience=_LIMIT,
            late=late,
        )

    def _load(self, endpoint: str) -> None:
        model, _, name = endpoint.partition("#")
        content = {"model": model, "deployment": name}
        try:
            self.account.http.post(f"/v1/accounts/{self.account.id}/deployedModels", content)
        except Unsure:
            if self._loaded(endpoint) is None:
                raise

    def _loaded(self, endpoint: str) -> dict[str, Any] | None:
        """Describe the adapter on its deployment, None when it is not there."""
        model, _, name = endpoint.partition("#")
        for one in self.account.listed("deployedModels"):
            if (one.get("model"), one.get("deployment")) == (model, name):
                return self.account.find(str(one["name"]))
        return None

    def _delete(self, name: str, **query: str) -> None:
        try:
            self.account.http.call("DELETE", f"/v1/{name}", query=query)
        except NotFound:
            return


def _text(answer: Answer) -> str:
    first = next(iter(items(answer.object(), "choices")), None)
    text = look(first, "message", "content")
    if not isinstance(text, str):
        raise RequestRejected(
            "fireworks: the answer of the model holds no text", backend="fireworks"
        )
    return text
