"""The spec: what is wanted, on any backend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, field_validator

from tunekit.errors import SpecError
from tunekit.spec.evaluation import Evaluation, Output
from tunekit.spec.methods import AnyMethod, LoRA, Method, MethodName
from tunekit.spec.objectives import (
    CPO,
    DPO,
    GRPO,
    IPO,
    KTO,
    ORPO,
    SFT,
    Objective,
    ObjectiveName,
    Reward,
    SimPO,
)
from tunekit.spec.strict import Auto, Strict, below
from tunekit.spec.training import Training

_NO_MODEL = "is empty; give a hub id, a local folder, or embedded:smollm2-135m"
_NO_DATA = "is empty; give a file, a folder, a hub id or rows"
_NO_SHARE = (
    "is a share of the rows, below 1: write {share} for {value} %; "
    "for held-out rows of their own give a file"
)

Share = Annotated[float, Field(gt=0, lt=1)]
Rows = Annotated[tuple[dict[str, Any], ...], Field(strict=False)]
Source = str | PathLike[str] | Iterable[Mapping[str, Any]]

Format = Literal[
    "auto",
    "conversation",
    "sharegpt",
    "alpaca",
    "completion",
    "text",
    "preference",
    "judged",
    "ultrafeedback",
    "segments",
    "prompt",
]


Severity = Literal["error", "warning", "info", "off"]
"""An error stops a run; a warning is shown in the plan; an info only in the report."""


class Data(Strict):
    """Where the rows come from."""

    source: str | Rows
    """A file, a glob, a folder, a hub id, or rows in memory."""
    format: Format = "auto"
    """The shape of the rows. "auto": recognised from their keys."""
    split: Annotated[str, Field(min_length=1)] = "train"
    """Which split of a hub dataset."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Use the first so many rows."""
    mapping: dict[str, str] | None = None
    """Names of your columns for names that the format reads: `{"prompt": "question"}`."""
    checks: dict[str, Severity] = Field(default_factory=dict)
    """What a finding is worth, by its code: `{"near-duplicate": "error", "email": "off"}`."""
    drop: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Codes of findings whose rows are left out; each is counted and written to `dropped.jsonl`."""

    @classmethod
    def of(cls, source: Any) -> Data:
        """Take what `FineTune(data=...)` takes.

        Raises:
            SpecError: it names no rows.
        """
        if source is None:
            raise SpecError(f"data {_NO_DATA}")
        given = _rows(source)
        if isinstance(given, cls):
            return given
        return cls(**given) if isinstance(given, Mapping) else cls(source=given)

    @field_validator("source")
    @classmethod
    def _not_empty(cls, source: str | Rows) -> str | Rows:
        if isinstance(source, str) and not source.strip():
            raise ValueError(_NO_DATA)
        if not source:
            raise ValueError("holds no rows; give at least one")
        return source


def _rows(value: Any) -> Any:
    """Take a path, an iterable of rows, a `datasets.Dataset` or a table of pandas."""
    if value is None:
        raise ValueError(_NO_DATA)
    if isinstance(value, str):
        return {"source": value}
    if isinstance(value, PathLike):
        return {"source": fspath(cast("PathLike[str]", value))}
    if isinstance(value, Mapping) and (splits := _splits(cast("Mapping[str, Any]", value))):
        raise ValueError(f"is a DatasetDict; give one split of it, such as data[{splits[0]!r}]")
    if isinstance(value, (Mapping, Data, bytes)) or not hasattr(value, "__iter__"):
        return cast("Any", value)
    if hasattr(value, "iterrows"):
        value = value.to_dict("records")
    return {"source": tuple(_row(row) for row in value)}


def _splits(value: Mapping[str, Any]) -> list[str]:
    return [name for name, held in value.items() if hasattr(held, "column_names")]


def _row(row: Any) -> Any:
    return dict(cast("Mapping[str, Any]", row)) if isinstance(row, Mapping) else row


def _held_out(value: Any) -> Any:
    share = value is None or isinstance(value, (int, float))
    return value if share or value == "auto" else _rows(value)


class FineTune(Strict):
    """One fine-tune: model, data, method, objective, training.

    Raises:
        SpecError: a key or value is wrong; every fault is named with the nearest valid key.
    """

    model: Annotated[str, Field(min_length=1)]
    """A hub id, a local folder, or `embedded:smollm2-135m`."""
    data: Annotated[Data, BeforeValidator(_rows, json_schema_input_type=str | Rows | Data)]
    """The rows to train on: a file, glob, folder, hub id, or rows in memory."""
    start_from: Annotated[str, Field(min_length=1)] | None = None
    """Where training goes on from: a run, a job (`together:ft-12ab`), or the folder of an adapter.
    None: new weights on the base."""
    method: Method = LoRA()
    """How the weights change: "lora", "full", "ia3", "prefix" ..., or an object with settings."""
    objective: Objective = SFT()
    """What is rewarded: "sft", "dpo", "kto", "grpo" ..., or an object with settings."""
    training: Training = Training()
    """Epochs, batch, learning rate and the rest."""
    validation: Annotated[
        Share | Auto | Data | None,
        BeforeValidator(_held_out, json_schema_input_type=Share | Auto | str | Rows | Data | None),
        below(1, _NO_SHARE),
    ] = "auto"
    """Held-out rows: a share, a source of their own, or None. "auto": a share by the row count."""
    evaluation: Evaluation = Evaluation()
    """What is measured before and after."""
    output: Output = Output()
    """Name and place of the result."""
    extra: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Native settings by backend, merged last: `{"local": {"trainer": {"optim": "adafactor"}}}`."""

    if TYPE_CHECKING:
        # The fields say what can be read; this says what can be written, shorthand included.
        def __init__(
            self,
            *,
            model: str | PathLike[str],
            data: Source | Data | Mapping[str, Any],
            start_from: str | PathLike[str] | None = ...,
            method: AnyMethod | MethodName | Mapping[str, Any] = ...,
            objective: SFT
            | DPO
            | IPO
            | KTO
            | SimPO
            | ORPO
            | CPO
            | Reward
            | GRPO
            | ObjectiveName
            | Mapping[str, Any] = ...,
            training: Training | Mapping[str, Any] = ...,
            validation: float | Auto | Source | Data | Mapping[str, Any] | None = ...,
            evaluation: Evaluation | Mapping[str, Any] = ...,
            output: Output | Mapping[str, Any] = ...,
            extra: Mapping[str, Mapping[str, Any]] = ...,
        ) -> None: ...

    @field_validator("model", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if value is None or value == "":
            raise ValueError(_NO_MODEL)
        return value

    @field_validator("model", "start_from", mode="before")
    @classmethod
    def _path(cls, value: Any) -> Any:
        return fspath(cast("PathLike[str]", value)) if isinstance(value, PathLike) else value

    def minimal(self) -> dict[str, Any]:
        """Give only what was set, as plain JSON values.

        A spec that is dumped with all its defaults would make every default a wish;
        this keeps wishes apart from defaults.
        """
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=False)
