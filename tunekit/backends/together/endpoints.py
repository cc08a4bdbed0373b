"""Dedicated endpoints at Together: one per mark, looked for by name before one is made."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tunekit.backends.answer import Conflict, NotFound, Unsure
from tunekit.backends.backend import Serving
from tunekit.backends.http import Http
from tunekit.backends.together import said
from tunekit.errors import BackendError, RequestRejected

IDLE_MINUTES = 60
"""After so long without a question an endpoint stops by itself: it costs by the minute."""
_TRIES = 4
_MOST_LISTED = 10_000
_STATES: Mapping[str, Literal["starting", "ready", "failed", "gone"]] = {
    "DEPLOYMENT_STATE_PROVISIONING": "starting",
    "DEPLOYMENT_STATE_READY": "ready",
    "DEPLOYMENT_STATE_SCALING": "ready",
    "DEPLOYMENT_STATE_DEGRADED": "ready",
    "DEPLOYMENT_STATE_FAILED": "failed",
    "DEPLOYMENT_STATE_STOPPING": "gone",
    "DEPLOYMENT_STATE_STOPPED": "gone",
}


@dataclass(frozen=True)
class Endpoints:
    """The endpoints of a project."""

    http: Http
    pause: float

    def start(self, job: said.Told, name: str) -> str:
        """Serve the model of a job under a name; gives `PROJECT/ENDPOINT`.

        Raises:
            BackendError: there is no model to serve, or no hardware that takes it.
        """
        model = said.text(job, "model_object_id")
        if not model:
            raise BackendError(
                f"together keeps no whole model of {said.text(job, 'id')} to serve; load the "
                "adapter with run.adapter instead",
                backend="together",
            )
        project = said.part(self.http.get("/v3/whoami"), "project")
        place, slug = said.text(project, "id"), said.text(project, "slug")
        if not place:
            raise said.unreadable("the key belongs to no project")
        endpoint = self._endpoint(place, slug, name)
        key = said.text(endpoint, "id")
        request = {
            "name": "main",
            "model": f"projects/{place}/models/{model}",
            "config": self._config(said.text(job, "model")),
            "autoscaling": {"minReplicas": 1, "maxReplicas": 1},
            "inactiveTimeout": IDLE_MINUTES,
        }
        self._route(place, key, said.text(self._deployment(place, key, request), "id"))
        return f"{place}/{key}"

    def look(self, place: str) -> Serving:
        """Say how an endpoint stands."""
        project, _, key = place.partition("/")
        try:
            endpoint = self.http.get(_endpoints(project, key))
            held = self._deployments(project, key)
            if not held:
                return Serving(state="gone", model=said.text(endpoint, "name"))
            deployment = self.http.get(_deployments(project, key, said.text(held[0], "id")))
        except NotFound:
            return Serving(state="gone", model="")
        status = said.part(deployment, "status")
        word, replicas = said.text(status, "state"), said.number(status, "readyReplicas")
        state = _STATES.get(word, "starting")
        if word == "DEPLOYMENT_STATE_SCALING" and not replicas:
            state = "starting"
        return Serving(state=state, model=said.text(endpoint, "name"), native=word)

    def stop(self, place: str) -> None:
        """Take an endpoint down, with all that stands behind it; harmless when it is gone."""
        project, _, key = place.partition("/")
        try:
            held = self._deployments(project, key)
        except NotFound:
            return
        if held:
            self._split(project, key, [])
        for deployment in held:
            where = _deployments(project, key, said.text(deployment, "id"))
            self.http.call("DELETE", where, expect=(404,))
        self.http.call("DELETE", _endpoints(project, key), expect=(404,))

    def _endpoint(self, project: str, slug: str, name: str) -> said.Told:
        for _ in range(_TRIES):
            for endpoint in self._listed(project):
                if said.text(endpoint, "name") in (name, f"{slug}/{name}"):
                    return endpoint
            try:
                made = self.http.post(_endpoints(project), {"name": name})
            except (Conflict, Unsure):
                # The name is taken, perhaps by ourselves a moment ago.
                time.sleep(self.pause)
                continue
            if said.text(made, "id"):
                return made
        raise said.unreadable(f"the endpoint {name} is neither made nor listed")

    def _listed(self, project: str) -> list[said.Told]:
        found, after = list[said.Told](), None
        while True:
            page = self.http.call("GET", _endpoints(project), query={"after": after}).object()
            found += said.items(page, "data")
            after = said.text(page, "next_cursor") or None
            if after is None or len(found) > _MOST_LISTED:
                return found

    def _deployment(self, project: str, key: str, request: Mapping[str, Any]) -> said.Told:
        for _ in range(_TRIES):
            if held := self._deployments(project, key):
                return held[0]
            try:
                made = self.http.post(_deployments(project, key), dict(request))
            except (Conflict, Unsure):
                time.sleep(self.pause)
                continue
            if said.text(made, "id"):
                return made
        raise said.unreadable("a deployment is neither made nor listed")

    def _deployments(self, project: str, key: str) -> list[said.Told]:
        return said.items(self.http.get(_deployments(project, key)), "data")

    def _route(self, project: str, key: str, deployment: str) -> None:
        """Let all questions go to the deployment."""
        split = said.some(self.http.get(_endpoints(project, key)), "trafficSplit")
        if not any(said.text(entry, "deploymentId") == deployment for entry in split):
            self._split(project, key, [{"deploymentId": deployment, "weight": 1.0}])

    def _split(self, project: str, key: str, split: list[dict[str, Any]]) -> None:
        where = _endpoints(project, key)
        self.http.call("PATCH", where, send={"trafficSplit": split}, idempotent=True)

    def _config(self, base: str) -> str:
        """Give hardware that takes models made of this base."""
        known = self.http.call("GET", "/v2/supported-models", query={"search": base}).object()
        profiles = [
            profile
            for model in said.items(known, "data")
            if said.text(model, "name") == base
            for profile in said.some(model, "deploymentProfiles")
        ]
        # One that loads adapters as well may be slower.
        profiles.sort(key=lambda profile: "DYNAMIC" in said.text(profile, "adapterMode"))
        for profile in profiles:
            if config := said.text(profile, "config"):
                return config
        raise RequestRejected(
            f"together has no hardware on offer for models made of {base}", backend="together"
        )


def _endpoints(project: str, *rest: str) -> str:
    return said.path("v2", "projects", project, "endpoints", *rest)


def _deployments(project: str, key: str, *rest: str) -> str:
    return _endpoints(project, key, "deployments", *rest)
