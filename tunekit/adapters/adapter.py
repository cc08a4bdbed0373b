"""The result of a run: a folder that has passed the gate."""

from __future__ import annotations

from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from typing_extensions import Self

from tunekit.adapters import chat_template, gate, loading
from tunekit.adapters.configs import AnyConfig, adapted, cannot_merge, read_any, sizes
from tunekit.adapters.description import Description
from tunekit.adapters.header import Tensor, read_header
from tunekit.adapters.merge import merge
from tunekit.adapters.provenance import Provenance
from tunekit.errors import AdapterError


class Adapter:
    """A PEFT adapter, or the full model that a full fine-tune leaves.

    Make one with `Adapter.open(folder)` or take it from `run.adapter`.
    """

    def __init__(self, folder: Path, kind: gate.Kind) -> None:
        self.folder = folder
        self.kind: gate.Kind = kind
        """`adapter`, or `model` when every weight was trained."""
        self.provenance = Provenance.read(folder)
        """How it was made; None when tunekit did not make it."""

    @classmethod
    def open(cls, folder: str | PathLike[str]) -> Self:
        """Check a folder and take it up; loads no weights and no training library.

        Raises:
            AdapterError: the folder holds something unsafe, incomplete or untrained.
        """
        place = Path(folder).expanduser()
        return cls(place, gate.check(place))

    def load(
        self,
        *,
        base: str | PathLike[str] | None = None,
        device: str | None = None,
        dtype: str | None = None,
        trainable: bool = False,
    ) -> Any:
        """Load the model, ready to generate: a PEFT model on its base, or the full model.

        A reward model gives a score for a text, `model(**tokens).logits[:, 0]`, and writes none.

        Args:
            base: Where the base is, when it has moved: a folder or hub id.
            device: `cuda`, `mps`, `cpu`; None leaves it in main memory.
            dtype: `float32`, `bfloat16`, `float16`; None keeps the precision of the base.
            trainable: Load for further training: in training mode, the adapter's weights open.

        Raises:
            AdapterError: the base is another one than at training time, or the weights do not
                fit it to the last tensor.
            MissingExtra: torch, transformers or peft is not installed.
        """
        if self.kind == "model":
            model = loading.load_model(str(self.folder), dtype=dtype).train(trainable)
        else:
            model = self._attached(self._source(base), dtype, trainable=trainable)
        return model.to(device) if device else model

    def tokenizer(self, *, base: str | PathLike[str] | None = None) -> Any:
        """Load the tokenizer that was trained with; else the base's.

        Raises:
            AdapterError: there is none, or it is broken.
        """
        own = (self.folder / "tokenizer_config.json").exists() or self.kind == "model"
        return loading.load_tokenizer(str(self.folder) if own else self._source(base))

    def merge(
        self,
        into: str | PathLike[str],
        *,
        base: str | PathLike[str] | None = None,
        dtype: str = "auto",
    ) -> Path:
        """Fold the adapter into its base and save the full model in `into`.

        The base is loaded afresh, in the precision it is stored in or in `dtype`. An adapter
        that was trained over a quantized base (QLoRA) is merged into the unquantized one:
        merging into 4 bits would round most of it away. The saved model must give the same
        logits as base and adapter on two prompts.

        Raises:
            AdapterError: this is a full model already, the method cannot be merged (virtual
                tokens, bottlenecks), `into` is not empty, or the logits differ.
        """
        if self.kind == "model":
            raise AdapterError(f"{self.folder}: is a full model already; copy the folder instead")
        if why := cannot_merge(self._config):
            raise AdapterError(f"{self.folder}: {why}")
        load = partial(self._attached, self._source(base), dtype, trainable=False)
        target = Path(into).expanduser()
        return merge(load, self.tokenizer(base=base), target, provenance=self.provenance)

    def spectrum(self) -> dict[str, tuple[float, ...]]:
        """Give the singular values of what the adapter adds to each layer, the largest first.

        Raises:
            AdapterError: it is no LoRA.
        """
        from tunekit.adapters.spectrum import singular_values

        return singular_values(self.folder)

    def truncate(self, rank: int, into: str | PathLike[str]) -> Self:
        """Save an adapter of lower rank in `into`: of every update the nearest of that rank.

        `truncation_error(rank)` says how near that is; it is in the new adapter's history too.

        Raises:
            AdapterError: it is no LoRA, or a DoRA; it has no higher rank; or `into` is not empty.
        """
        from tunekit.adapters.truncate import truncate

        return type(self).open(truncate(self.folder, Path(into).expanduser(), rank=rank))

    def truncation_error(self, rank: int) -> float:
        """Give the largest relative error of a layer, in Frobenius' norm, when cut to `rank`.

        Raises:
            AdapterError: it is no LoRA.
        """
        from tunekit.adapters.truncate import truncation_error

        return truncation_error(self.folder, rank)

    def rescale(self, scale: float, into: str | PathLike[str]) -> Self:
        """Save a weaker adapter in `into`: between the base, at 0, and this one, at 1.

        Raises:
            AdapterError: it is no LoRA, or a DoRA; the scale is not above 0 and up to 1; or `into`
                is not empty.
        """
        from tunekit.adapters.truncate import rescale

        return type(self).open(rescale(self.folder, Path(into).expanduser(), scale=scale))

    def describe(self) -> Description:
        """Say what it is and where it comes from; reads headers only."""
        record = self.provenance
        config = self._config if self.kind == "adapter" else None
        tensors = self._tensors()
        rank, alpha = sizes(config) if config else (None, None)
        layers = adapted(config, tensors) if config else gate.modules(tensors)
        base = record.base_model if record else getattr(config, "base_model_name_or_path", None)
        odd = chat_template.warning(self.folder, base)
        return Description(
            folder=str(self.folder),
            kind=self.kind,
            method=config.method if config else _method(record),
            rank=rank,
            alpha=alpha,
            targets=tuple(sorted({name.rpartition(".")[2] for name in layers})),
            parameters=sum(tensor.count for tensor in tensors.values()),
            base=base,
            data=record.data if record else {},
            run_id=record.run_id if record else None,
            created=record.created if record else None,
            tunekit=record.tunekit if record else None,
            warnings=(odd,) if odd else (),
        )

    @property
    def _config(self) -> AnyConfig:
        return read_any(self.folder / gate.CONFIG)

    def _tensors(self) -> dict[str, Tensor]:
        pattern = gate.WEIGHTS if self.kind == "adapter" else "model*.safetensors"
        files = sorted(self.folder.glob(pattern))
        return {name: tensor for file in files for name, tensor in read_header(file).items()}

    def _source(self, base: str | PathLike[str] | None) -> str:
        return str(base) if base is not None else loading.source(self._config, self.provenance)

    def _attached(self, place: str, dtype: str | None, *, trainable: bool) -> Any:
        loading.require_base(place, self.provenance)
        scores = getattr(self._config, "task_type", None) == "SEQ_CLS"
        model = loading.load_model(place, dtype=dtype, scores=scores)
        if scores:
            # The score is read at the last token that is no padding.
            model.config.get_text_config().pad_token_id = self.tokenizer(base=place).pad_token_id
        # A base from the hub lies in the cache only after it was loaded.
        loading.require_base(place, self.provenance)
        return loading.attach(
            model, self.folder, self._config, self._tensors(), trainable=trainable
        )

    def __repr__(self) -> str:
        return f"<Adapter {self.kind} in {self.folder}>"

    def __str__(self) -> str:
        return str(self.describe())

    def __rich__(self) -> Any:
        return self.describe().__rich__()

    def _repr_html_(self) -> str:
        return self.describe().html()


def _method(record: Provenance | None) -> str:
    """Say how a full model came about."""
    method = record.spec.get("method", {"type": "lora"})["type"] if record else "full"
    return "full" if method == "full" else f"{method}, merged"
