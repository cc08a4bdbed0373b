"""Where an adapter comes from: `tunekit.json` in its folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import Self

from tunekit.adapters import gate, origin
from tunekit.adapters.configs import read_any
from tunekit.errors import AdapterError
from tunekit.files import write_atomic

NAME = "tunekit.json"


class Provenance(BaseModel):
    """The run that made the adapter: wishes, native request, versions, data, base."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = 1
    tunekit: str = ""
    """Version of tunekit."""
    created: float = Field(default_factory=time.time)
    """Seconds since 1970."""
    run_id: str
    spec: dict[str, Any] = {}
    """Only what was set."""
    request: dict[str, Any] = {}
    """What the backend got."""
    versions: dict[str, str] = {}
    """Packages that trained it."""
    data: dict[str, str] = {}
    """sha256 of the files that were trained and measured on."""
    base_model: str
    """As the spec names it."""
    base_alias: str | None = None
    """What the provider calls the base."""
    base_fingerprint: str | None = None
    """Tells the base from any other; None where its files were out of reach."""
    used: dict[str, Any] = {}
    """What the provider really used: alpha, learning rate, epochs."""

    @classmethod
    def of(
        cls,
        folder: Path,
        *,
        run_id: str,
        spec: dict[str, Any],
        request: dict[str, Any],
        base_model: str,
        versions: dict[str, str],
        data: dict[str, str],
        base_alias: str | None = None,
        used: dict[str, Any] | None = None,
    ) -> Self:
        """Describe what lies in `folder`; reads a sample of the base's files, loads no library."""
        return cls(
            tunekit=versions.get("tunekit-sdk", ""),
            run_id=run_id,
            spec=spec,
            request=request,
            versions=versions,
            data=data,
            base_model=base_model,
            base_alias=base_alias,
            used=used or {},
            base_fingerprint=_fingerprint(folder, base_model),
        )

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read the provenance of an adapter; one made elsewhere has none.

        Raises:
            AdapterError: the file is damaged.
        """
        file = folder / NAME
        try:
            return cls.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise AdapterError(
                f"{file}: is damaged ({error.error_count()} faults); "
                "remove it to use the adapter without its history"
            ) from None

    def write(self, folder: Path) -> None:
        """Put the provenance into the folder of the adapter."""
        write_atomic(folder / NAME, self.model_dump_json(indent=1) + "\n")


def _fingerprint(folder: Path, base_model: str) -> str | None:
    base = origin.find(base_model)
    config = folder / gate.CONFIG
    if base is None and config.exists():
        named = read_any(config).base_model_name_or_path
        base = origin.find(named) if named else None
    return origin.fingerprint(base) if base else None
