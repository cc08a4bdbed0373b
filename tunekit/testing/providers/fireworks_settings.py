"""What a loopback Fireworks is set to; all of it may be changed while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from tunekit.testing.providers.fireworks_jobs import Outcome

Messages = Sequence[Mapping[str, Any]]


@dataclass
class Settings:
    """The account, what its models can do, and how things end."""

    key: str = "test-key"
    account: str = "acme"
    ticks: int = 1
    """GETs of a job, dataset or deployment for each step; 0 ends at the first."""
    price: float = 1.25
    """USD for a job."""
    models: frozenset[str] | None = None
    """Base models by their last name; None is any."""
    capabilities: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields of a base model, by their names on the wire, that differ from the usual."""
    outcome: Outcome = "COMPLETED"
    failure: Mapping[str, str] = field(
        default_factory=lambda: {"code": "INTERNAL", "message": "the trainer went away"}
    )
    """The status of a job whose outcome is FAILED."""
    adapter: Path | None = None
    """A folder that is served as it is, as every result."""
    base: Path | None = None
    """The folder of a base model; results fit it."""
    echo_secrets: bool = True
    """Show `wandbConfig.apiKey` to whoever looks at a job, as the service does."""
    cancel_wins: bool = True
    """False: a job that is being cancelled ends by itself first."""
    list_lag: int = 0
    """Lists that do not show a new job yet."""
    nested_metrics: bool = False
    """Write metrics in the older shape, under `data`."""
    scaling_up: int = 0
    """Chat calls that are answered 503 DEPLOYMENT_SCALING_UP from here on."""
    reply: Callable[[str, Messages], str] | None = None
    """What a deployed model says to messages; None repeats the last one after its name."""

    @property
    def money(self) -> dict[str, Any]:
        """The price as google.type.Money: whole units as text, and billionths."""
        units, part = divmod(Decimal(str(self.price)), 1)
        return {"currencyCode": "USD", "units": str(units), "nanos": int(part * 10**9)}
