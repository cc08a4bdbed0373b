"""Deployments, and adapters loaded into them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tunekit.testing.providers.fireworks_errors import (
    Refusal,
    invalid,
    missing,
    taken,
    too_early,
)
from tunekit.testing.providers.fireworks_models import Models
from tunekit.testing.providers.fireworks_place import TIME, Place, paged
from tunekit.testing.providers.fireworks_requests import check_id, checked
from tunekit.testing.providers.fireworks_settings import Settings
from tunekit.testing.providers.server import Reply, Request


@dataclass
class Deployment:
    """Hardware that serves a model."""

    name: str
    body: dict[str, Any]
    gets: int = 0
    calls: int = 0
    """Chat calls it answered."""
    deleted: bool = False


@dataclass
class DeployedModel:
    """An adapter on a deployment."""

    name: str
    body: dict[str, Any] = field(default_factory=dict[str, Any])
    gets: int = 0


class Deployments:
    """Answer what concerns deployments and the adapters on them."""

    def __init__(self, models: Models, settings: Settings) -> None:
        self.kept: dict[str, Deployment] = {}
        self.loaded: dict[str, DeployedModel] = {}
        self._models = models
        self._settings = settings

    def create(self, request: Request, place: Place) -> Reply:
        """Rent hardware for a model, or with `validateOnly` say what it would be."""
        body = checked(request, "deployments")
        self._check(request, body)
        key = request.query.get("deploymentId") or f"deployment{len(self.kept) + 1}"
        check_id("deploymentId", key)
        name = f"accounts/{place.account}/deployments/{key}"
        if name in self.kept:
            raise taken("deployment")
        deployment = Deployment(name, body)
        if request.query.get("validateOnly") != "true":
            self.kept[name] = deployment
        return Reply(self._view(deployment))

    def get(self, request: Request, place: Place) -> Reply:
        """Describe a deployment; looking at it lets time pass."""
        deployment = self._found(place.name)
        deployment.gets += 1
        return Reply(self._view(deployment))

    def page(self, request: Request, place: Place) -> Reply:
        """Describe the deployments that were not deleted, a page at a time."""
        views = [self._view(one) for one in self.kept.values() if not one.deleted]
        return paged(request, "deployments", views)

    def delete(self, request: Request, place: Place) -> Reply:
        """Give the hardware back; after traffic only with `ignoreChecks`."""
        deployment = self._found(place.name)
        if deployment.calls and request.query.get("ignoreChecks") != "true":
            raise too_early("the deployment had traffic in the last hour; set ignoreChecks")
        deployment.deleted = True
        on_it = [one.name for one in self.loaded.values() if one.body["deployment"] == place.name]
        for name in on_it:
            del self.loaded[name]
        return Reply({})

    def load(self, request: Request, place: Place) -> Reply:
        """Load an adapter into a deployment that takes adapters."""
        body = checked(request, "deployedModels")
        model, deployment = body.get("model", ""), self._found(body.get("deployment", ""))
        if self._models.view(model)["state"] != "READY":
            raise too_early(f"{model} is not READY")
        self._check_fit(request, model, deployment)
        key = f"{model.rpartition('/')[2]}-{len(self.loaded) + 1}"
        name = f"accounts/{place.account}/deployedModels/{key}"
        self.loaded[name] = DeployedModel(name, body)
        return Reply(self._loaded_view(self.loaded[name]))

    def get_loaded(self, request: Request, place: Place) -> Reply:
        """Describe a loaded adapter; looking at it lets time pass."""
        loaded = self._found_loaded(place.name)
        loaded.gets += 1
        return Reply(self._loaded_view(loaded))

    def page_loaded(self, request: Request, place: Place) -> Reply:
        """Describe the loaded adapters, a page at a time."""
        views = [self._loaded_view(one) for one in self.loaded.values()]
        return paged(request, "deployedModels", views)

    def unload(self, request: Request, place: Place) -> Reply:
        """Take an adapter off its deployment."""
        del self.loaded[self._found_loaded(place.name).name]
        return Reply({})

    def serving(self, model: str) -> Deployment:
        """Find the deployment that answers for `MODEL#DEPLOYMENT` or `DEPLOYMENT`.

        Raises:
            Refusal: NOT_FOUND, or UNAVAILABLE while it is not up.
        """
        first, mark, named = model.partition("#")
        deployment = self.kept.get(named if mark else first)
        if deployment is None or deployment.deleted or not self._serves(first, deployment, mark):
            raise Refusal("NOT_FOUND", f"Model not found, inaccessible, or not deployed: {model}")
        if not self._is_ready(deployment.gets):
            raise scaling_up()
        return deployment

    def _serves(self, model: str, deployment: Deployment, mark: str) -> bool:
        if not mark or deployment.body["baseModel"] == model:
            return True
        on_it = [one for one in self.loaded.values() if one.body["model"] == model]
        return any(
            one.body["deployment"] == deployment.name and self._is_ready(one.gets) for one in on_it
        )

    def _check(self, request: Request, body: dict[str, Any]) -> None:
        base = body.get("baseModel")
        if not base:
            raise invalid("baseModel", "is required", what="REQUIRED")
        if self._models.view(base)["state"] != "READY":
            raise too_early(f"{base} is not READY")
        shapeless = request.query.get("acceptShapelessRisk") == "true"
        if not (body.get("deploymentShape") or (shapeless and body.get("acceleratorType"))):
            raise invalid("deploymentShape", "is required, `default` will do", what="REQUIRED")

    def _check_fit(self, request: Request, model: str, deployment: Deployment) -> None:
        details = self._models.view(model).get("peftDetails")
        if details is None:
            raise invalid("model", f"{model} is no adapter")
        replaced = request.query.get("replaceMergedAddon") == "true"
        if replaced and deployment.body.get("enableHotReloadLatestAddon"):
            return
        if not deployment.body.get("enableAddons"):
            raise too_early(f"{deployment.name} has no enableAddons", reason="ADDONS_NOT_ENABLED")
        if details["baseModel"] != deployment.body["baseModel"]:
            raise invalid("model", f"{model} is for {details['baseModel']}")

    def _found(self, name: str) -> Deployment:
        if name not in self.kept:
            raise missing(name)
        return self.kept[name]

    def _found_loaded(self, name: str) -> DeployedModel:
        if name not in self.loaded:
            raise missing(name)
        return self.loaded[name]

    def _is_ready(self, gets: int) -> bool:
        return gets >= self._settings.ticks

    def _view(self, deployment: Deployment) -> dict[str, Any]:
        ready = "READY" if self._is_ready(deployment.gets) else "CREATING"
        replicas = 1 if ready == "READY" and not deployment.deleted else 0
        return {
            "acceleratorType": "NVIDIA_H100_80GB",
            "acceleratorCount": 1,
            **deployment.body,
            "name": deployment.name,
            "createTime": TIME,
            "state": "DELETED" if deployment.deleted else ready,
            "status": {"code": "OK", "message": ""},
            "replicaCount": replicas,
        }

    def _loaded_view(self, loaded: DeployedModel) -> dict[str, Any]:
        return {
            **loaded.body,
            "name": loaded.name,
            "createTime": TIME,
            "state": "DEPLOYED" if self._is_ready(loaded.gets) else "DEPLOYING",
            "status": {"code": "OK", "message": ""},
        }


def scaling_up() -> Refusal:
    """Refuse a call because no replica is up yet."""
    return Refusal(
        "UNAVAILABLE",
        "The deployment is scaling up from zero. Please retry.",
        reason="DEPLOYMENT_SCALING_UP",
    )
