"""The adapter that training goes on from: opened, checked, and known by its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import Self

from tunekit.adapters import fit, gate, origin
from tunekit.adapters.asked import Asked
from tunekit.adapters.bottleneck.config import BottleneckConfig
from tunekit.adapters.config import AdapterConfig
from tunekit.adapters.configs import AnyConfig, adapted, read_any
from tunekit.adapters.header import Tensor, read_header
from tunekit.adapters.peft_types.base import PeftTypeConfig
from tunekit.adapters.provenance import Provenance
from tunekit.adapters.rename import is_another
from tunekit.errors import AdapterError

MERGE = "merge it (run.adapter.merge) and name the folder as model"


@dataclass(frozen=True)
class Start:
    """An adapter that the gate has let in, and that fits the model as far as can be seen here."""

    folder: Path
    config: AnyConfig
    tensors: dict[str, Tensor]
    provenance: Provenance | None
    base: Path | None
    """The model's folder, where it is on this machine."""

    @classmethod
    def open(cls, folder: Path, model: str) -> Self:
        """Check a folder; reads no more than bytes and JSON.

        Raises:
            AdapterError: it holds no adapter, one of another model, or one that cannot go on.
        """
        if gate.check(folder) == "model":
            raise AdapterError(
                f"{folder}: holds a full model, not an adapter; train that: --set model={folder} "
                "--set start_from=null"
            )
        config = read_any(folder / gate.CONFIG)
        tensors = read_header(folder / gate.WEIGHTS)
        start = cls(folder, config, tensors, Provenance.read(folder), origin.find(model))
        start._require_of(model)
        start._require_open()
        return start

    @property
    def kind(self) -> str:
        """PEFT's name of the method."""
        return str(getattr(self.config, "peft_type"))  # noqa: B009

    @property
    def scores(self) -> bool:
        """Whether it is one of a reward model, whose head is saved beside it."""
        return self.config.task_type == "SEQ_CLS"

    @property
    def modules(self) -> list[str]:
        """The layers of the base that it changes."""
        return sorted(adapted(self.config, self.tensors))

    def arguments(self) -> dict[str, Any]:
        """Give the arguments of PEFT's config that makes an adapter of the same tensors."""
        if isinstance(self.config, BottleneckConfig):
            return self.config.arguments()
        return self.config.arguments(self.modules)

    def _require_of(self, model: str) -> None:
        """Stop where something says that the adapter stands on another base."""
        written = self.config.base_model_name_or_path
        named = self.provenance.base_model if self.provenance else None
        for other in filter(None, (named, written)):
            if is_another(other, model):
                raise AdapterError(f"{self.folder}: was trained on {other}, and model is {model}")
        wanted = self.provenance.base_fingerprint if self.provenance else None
        found = origin.fingerprint(self.base) if wanted and self.base else None
        if found and found != wanted:
            raise AdapterError(
                f"{self.folder}: was trained on {named}, whose weights are not those of {model}"
            )
        if isinstance(self.config, AdapterConfig) and self.config.listed and not self.scores:
            fit.require_adapter(self.folder, self.config, self.tensors, Asked("adapter", model))

    def _require_open(self) -> None:
        """Stop where what is saved is not all that training needs."""
        config = self.config
        if isinstance(config, PeftTypeConfig) and not config.goes_on:
            raise AdapterError(
                f"{self.folder}: {config.method} saves its virtual tokens without the network that "
                "made them, so it cannot be trained further; train anew"
            )
        if self.kind == "ADALORA":
            raise AdapterError(
                f"{self.folder}: AdaLoRA has cut its ranks, and saves neither them whole nor what "
                f"it cut by; {MERGE}"
            )
        if config.modules_to_save and not self.scores:
            whole = ", ".join(config.modules_to_save)
            raise AdapterError(f"{self.folder}: holds whole layers ({whole}); {MERGE}")
