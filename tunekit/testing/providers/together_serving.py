"""Dedicated endpoints at Together: made, deployed to, routed, removed."""

from __future__ import annotations

import re
from collections.abc import Callable

from tunekit.testing.providers.checks import Refused, check
from tunekit.testing.providers.routes import Handler
from tunekit.testing.providers.server import Reply, Request
from tunekit.testing.providers.together_endpoints import (
    DYNAMIC,
    FIXED,
    PROJECT,
    SLUG,
    Attached,
    Deployment,
    Endpoint,
)
from tunekit.testing.providers.together_requests import (
    ADAPTER,
    DEPLOYMENT,
    ENDPOINT,
    ENDPOINT_UPDATE,
)

_MODEL = re.compile(r"projects/[^/]+/models/(?P<id>[^/]+)(/revisions/[^/]+)?")


class Serving:
    """All endpoints of the project."""

    def __init__(self, holds: Callable[[str], bool], *, ticks: int) -> None:
        self.endpoints: dict[str, Endpoint] = {}
        self._holds = holds
        self._ticks = ticks
        self._count = 0

    def routes(self) -> dict[str, Handler]:
        """Give what is answered here."""
        one = f"/v2/projects/{PROJECT}/endpoints"
        deployment = f"{one}/{{}}/deployments"
        adapter = f"{deployment}/{{}}/adapters"
        return {
            f"POST {one}": self.create,
            f"GET {one}": self.listing,
            f"GET {one}/{{}}": self.retrieve,
            f"PATCH {one}/{{}}": self.update,
            f"DELETE {one}/{{}}": self.delete,
            f"POST {deployment}": self.deploy,
            f"GET {deployment}": self.deployments,
            f"GET {deployment}/{{}}": self.deployment,
            f"DELETE {deployment}/{{}}": self.undeploy,
            f"POST {adapter}": self.attach,
            f"GET {adapter}": self.attached,
            f"GET {adapter}/{{}}": self.adapter,
            f"DELETE {adapter}/{{}}": self.detach,
        }

    def create(self, request: Request) -> Reply:
        """Make an endpoint."""
        told = check(request.json(), ENDPOINT)
        name = f"{SLUG}/{told['name'].removeprefix(f'{SLUG}/')}"
        if any(endpoint.name == name for endpoint in self.endpoints.values()):
            raise Refused(409, f"endpoint {name} exists", param="name")
        visibility = told.get("visibility", "VISIBILITY_PRIVATE")
        endpoint = Endpoint(self._id("ep"), name, visibility)
        self.endpoints[endpoint.id] = endpoint
        return Reply(endpoint.wire())

    def listing(self, request: Request) -> Reply:
        """Show all endpoints."""
        return Reply({"data": [endpoint.wire() for endpoint in self.endpoints.values()]})

    def retrieve(self, request: Request, endpoint_id: str) -> Reply:
        """Show one endpoint."""
        return Reply(self._endpoint(endpoint_id).wire())

    def update(self, request: Request, endpoint_id: str) -> Reply:
        """Change the traffic split, which names deployments of this endpoint."""
        endpoint = self._endpoint(endpoint_id)
        told = check(request.json(), ENDPOINT_UPDATE)
        if told.get("etag", str(endpoint.version)) != str(endpoint.version):
            raise Refused(409, "the endpoint changed meanwhile", param="etag")
        split = {each["deploymentId"]: each["weight"] for each in told.get("trafficSplit", [])}
        unknown = split.keys() - endpoint.deployments.keys()
        if unknown:
            raise Refused(400, f"no deployment {', '.join(sorted(unknown))}", param="trafficSplit")
        if "trafficSplit" in told:
            endpoint.split = split
        endpoint.version += 1
        return Reply(endpoint.wire())

    def delete(self, request: Request, endpoint_id: str) -> Reply:
        """Remove an endpoint that has no deployments left."""
        endpoint = self._endpoint(endpoint_id)
        if endpoint.deployments:
            raise Refused(409, "the endpoint still has deployments", param="id")
        del self.endpoints[endpoint_id]
        return Reply({})

    def deploy(self, request: Request, endpoint_id: str) -> Reply:
        """Put a model of the registry on hardware."""
        endpoint = self._endpoint(endpoint_id)
        told = check(request.json(), DEPLOYMENT)
        match = _MODEL.fullmatch(told.get("model", ""))
        if match is None:
            raise Refused(400, "model must be projects/{}/models/{}[/revisions/{}]", param="model")
        if told.get("config") not in (FIXED, DYNAMIC):
            raise Refused(400, f"unknown config {told.get('config')!r}", param="config")
        minutes = told.get("inactiveTimeout", 0)
        if minutes and not 30 <= minutes <= 1440:
            message = "inactiveTimeout must be 0, or from 30 to 1440"
            raise Refused(422, message, param="inactiveTimeout")
        self._require_model(match["id"])
        name = f"{endpoint.name}/{told['name']}"
        deployment = Deployment(self._id("dep"), name, endpoint, told, match["id"])
        if request.query.get("validateOnly") != "true":
            endpoint.deployments[deployment.id] = deployment
        return Reply(deployment.wire())

    def deployments(self, request: Request, endpoint_id: str) -> Reply:
        """Show the deployments of an endpoint."""
        held = self._endpoint(endpoint_id).deployments.values()
        return Reply({"data": [deployment.wire() for deployment in held]})

    def deployment(self, request: Request, endpoint_id: str, deployment_id: str) -> Reply:
        """Show a deployment; after so many looks it is ready."""
        deployment = self._deployment(endpoint_id, deployment_id)
        deployment.looks += 1
        deployment.ready = deployment.looks >= self._ticks
        return Reply(deployment.wire())

    def undeploy(self, request: Request, endpoint_id: str, deployment_id: str) -> Reply:
        """Take a deployment down, and out of the traffic."""
        endpoint = self._deployment(endpoint_id, deployment_id).endpoint
        del endpoint.deployments[deployment_id]
        endpoint.split.pop(deployment_id, None)
        return Reply({})

    def attach(self, request: Request, endpoint_id: str, deployment_id: str) -> Reply:
        """Load an adapter onto a deployment whose config takes adapters."""
        deployment = self._deployment(endpoint_id, deployment_id)
        told = check(request.json(), ADAPTER)
        if deployment.request["config"] != DYNAMIC:
            raise Refused(400, "the config does not take adapters", param="config")
        self._require_model(told["adapterModelId"])
        adapter = Attached(self._id("dad"), told["adapterModelId"])
        deployment.adapters[adapter.id] = adapter
        return Reply(adapter.wire())

    def attached(self, request: Request, endpoint_id: str, deployment_id: str) -> Reply:
        """Show the adapters of a deployment."""
        held = list(self._deployment(endpoint_id, deployment_id).adapters.values())
        for adapter in held:
            adapter.looks += 1
        return Reply({"data": [adapter.wire() for adapter in held]})

    def adapter(self, request: Request, endpoint_id: str, deployment_id: str, name: str) -> Reply:
        """Show one adapter."""
        adapter = self._adapter(endpoint_id, deployment_id, name)
        adapter.looks += 1
        return Reply(adapter.wire())

    def detach(self, request: Request, endpoint_id: str, deployment_id: str, name: str) -> Reply:
        """Unload an adapter; its tag must be told."""
        self._adapter(endpoint_id, deployment_id, name)
        if request.query.get("etag") != "1":
            raise Refused(409, "the adapter changed meanwhile", param="etag")
        del self._deployment(endpoint_id, deployment_id).adapters[name]
        return Reply({})

    def _require_model(self, model_id: str) -> None:
        if not self._holds(model_id):
            raise Refused(404, f"Model not found: {model_id}", param="model")

    def _endpoint(self, endpoint_id: str) -> Endpoint:
        if endpoint_id not in self.endpoints:
            raise Refused(404, f"Endpoint not found: {endpoint_id}", param="id")
        return self.endpoints[endpoint_id]

    def _deployment(self, endpoint_id: str, deployment_id: str) -> Deployment:
        held = self._endpoint(endpoint_id).deployments
        if deployment_id not in held:
            raise Refused(404, f"Deployment not found: {deployment_id}", param="id")
        return held[deployment_id]

    def _adapter(self, endpoint_id: str, deployment_id: str, adapter_id: str) -> Attached:
        held = self._deployment(endpoint_id, deployment_id).adapters
        if adapter_id not in held:
            raise Refused(404, f"Adapter not found: {adapter_id}", param="id")
        return held[adapter_id]

    def _id(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count}"
