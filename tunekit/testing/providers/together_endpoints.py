"""What stands behind a dedicated endpoint at Together: deployments and their adapters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tunekit.testing.providers.together_jobs import now

PROJECT = "proj_1"
SLUG = "acme"
DYNAMIC = f"projects/{PROJECT}/configs/cr_dynamic"
"""A config that takes adapters."""
FIXED = f"projects/{PROJECT}/configs/cr_fixed"
"""A config that takes none."""


@dataclass
class Attached:
    """An adapter on a deployment."""

    id: str
    model_id: str
    looks: int = 0

    @property
    def ready(self) -> bool:
        """Whether it was looked at once: adapters load in a moment."""
        return self.looks > 0

    def wire(self) -> dict[str, Any]:
        """Give the adapter as Together writes it."""
        state = "READY" if self.ready else "LOADING"
        status = {
            "adapterModelId": self.model_id,
            "clusterId": "cluster-1",
            "failedPodCount": 0,
            "readyPodCount": int(self.ready),
            "totalPodCount": 1,
            "state": f"ADAPTER_LOAD_STATE_{state}",
        }
        return {
            "id": self.id,
            "adapterModelId": self.model_id,
            "desiredRevisionId": f"rv_{self.model_id}",
            "etag": "1",
            "perCluster": [status],
        }


@dataclass
class Deployment:
    """A model on hardware, under an endpoint."""

    id: str
    name: str
    endpoint: Endpoint
    request: dict[str, Any]
    model_id: str
    looks: int = 0
    ready: bool = False
    adapters: dict[str, Attached] = field(default_factory=dict[str, Attached])
    created: str = field(default_factory=now)

    def wire(self) -> dict[str, Any]:
        """Give the deployment as Together writes it."""
        return {
            **self._common(),
            "config": self.request["config"],
            "configId": self.request["config"].rpartition("/")[2],
            "endpointId": self.endpoint.id,
            "etag": "1",
            "hardware": "1x H100 80GB",
            "modelRevisionId": "rv_1",
            "projectId": PROJECT,
            "status": {"message": "", "state": self._state, "readyReplicas": int(self.ready)},
            "updatedAt": self.created,
            "inactiveTimeout": self.request.get("inactiveTimeout", 0),
        }

    def summary(self) -> dict[str, Any]:
        """Give the line that an endpoint holds."""
        share = float(self.endpoint.split.get(self.id, 0) > 0)
        return {**self._common(), "estimatedEffectiveTrafficShare": share, "state": self._state}

    def _common(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "autoscaling": self.request["autoscaling"],
            "createdAt": self.created,
            "model": f"projects/{PROJECT}/models/{self.model_id}/revisions/rv_1",
            "modelId": self.model_id,
            "trafficMode": "TRAFFIC_MODE_LIVE",
        }

    @property
    def _state(self) -> str:
        return f"DEPLOYMENT_STATE_{'READY' if self.ready else 'PROVISIONING'}"


@dataclass
class Endpoint:
    """A name that requests are sent to."""

    id: str
    name: str
    visibility: str
    version: int = 1
    split: dict[str, float] = field(default_factory=dict[str, float])
    deployments: dict[str, Deployment] = field(default_factory=dict[str, Deployment])
    created: str = field(default_factory=now)

    def wire(self) -> dict[str, Any]:
        """Give the endpoint as Together writes it."""
        split = [{"deploymentId": name, "weight": weight} for name, weight in self.split.items()]
        return {
            "id": self.id,
            "name": self.name,
            "createdAt": self.created,
            "updatedAt": self.created,
            "deployments": [each.summary() for each in self.deployments.values()],
            "endpointType": "ENDPOINT_TYPE_DEDICATED",
            "etag": str(self.version),
            "projectId": PROJECT,
            "trafficSplit": split,
            "visibility": self.visibility,
        }
