"""Put an adapter on its base: every weight finds its place, or the load stops."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Generator, Mapping
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from tunekit import embedded
from tunekit.adapters import gate, origin
from tunekit.adapters.bottleneck.config import BottleneckConfig
from tunekit.adapters.config import read_object
from tunekit.adapters.configs import AnyConfig
from tunekit.adapters.header import Tensor
from tunekit.adapters.peft_types.base import PeftTypeConfig
from tunekit.adapters.peft_types.tensors import layers
from tunekit.adapters.provenance import Provenance
from tunekit.errors import AdapterError, MissingExtra

_SHOWN = 5


def source(config: AnyConfig, provenance: Provenance | None) -> str:
    """Say where the base is loaded from: a folder, or a hub id.

    Raises:
        AdapterError: nothing says which model it is, or its folder has gone.
    """
    named = provenance.base_model if provenance else ""
    written = config.base_model_name_or_path or ""
    if named.startswith("embedded:"):
        return str(embedded.folder())
    for name in filter(None, (written, named)):
        if Path(name).expanduser().is_dir():
            return str(Path(name).expanduser())
    for name in filter(None, (written, named)):
        if name.count("/") <= 1 and not name.startswith((".", "/", "~")):
            return name
    place = written or named or "which nothing names"
    raise AdapterError(f"the base model, {place}, is not here; say where: load(base=FOLDER_OR_ID)")


def load_model(place: str, *, dtype: str | None, scores: bool = False) -> Any:
    """Load a causal language model in its stored precision, or the one asked for.

    With `scores`, or where the folder says so itself, a model that gives one number for a text.

    Raises:
        AdapterError: the files are missing or broken.
    """
    transformers = _library("transformers")
    kind, options = transformers.AutoModelForCausalLM, {}
    if scores or _gives_scores(place):
        kind, options = transformers.AutoModelForSequenceClassification, {"num_labels": 1}
    try:
        # Said outright: with nothing said, transformers asks on the terminal.
        return kind.from_pretrained(place, dtype=_dtype(dtype), trust_remote_code=False, **options)
    except (OSError, ValueError, RuntimeError, UnpicklingError) as error:
        raise AdapterError(f"{place}: the model cannot be loaded: {_first(error)}") from error


def _gives_scores(place: str) -> bool:
    """Say whether a folder holds a model with a head for scores."""
    file = Path(place) / "config.json"
    named: Any = read_object(file).get("architectures") if file.is_file() else None
    return any(str(each).endswith("ForSequenceClassification") for each in named or ())


def load_tokenizer(place: str) -> Any:
    """Load a tokenizer.

    Raises:
        AdapterError: the files are missing or broken.
    """
    transformers = _library("transformers")
    try:
        return transformers.AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise AdapterError(f"{place}: the tokenizer cannot be loaded: {_first(error)}") from error


def require_base(place: str, provenance: Provenance | None) -> None:
    """Stop when the base is not the one that the adapter was trained on.

    Says nothing where the base, or the record of it, is out of reach.
    """
    wanted = provenance.base_fingerprint if provenance else None
    folder = origin.find(place)
    found = origin.fingerprint(folder) if wanted and folder else None
    if found and found != wanted:
        name = provenance.base_model if provenance else ""
        raise AdapterError(
            f"{place} is not the {name} that this adapter was trained on: its weights differ; "
            "give the right one: load(base=FOLDER_OR_ID)"
        )


def attach(
    base: Any,
    folder: Path,
    config: AnyConfig,
    tensors: Mapping[str, Tensor],
    *,
    trainable: bool,
) -> Any:
    """Give a PEFT model with the weights of `folder`.

    Raises:
        AdapterError: weights are missing, left over or of another shape than the base asks for.
    """
    peft = _library("peft")
    what = f"{folder} does not fit {base.config.name_or_path}"
    if trainable and isinstance(config, PeftTypeConfig) and not config.goes_on:
        raise AdapterError(
            f"{folder}: {config.method} saves its virtual tokens without the network that made "
            "them, so it cannot be trained further; load it as it is, or train anew"
        )
    wanted = _peft_config(config, tensors, inference_mode=not trainable)
    with quiet():
        try:
            model = peft.get_peft_model(base, wanted)
        except ValueError as error:
            raise AdapterError(f"{what}: {_first(error)}") from error
    fill(model, folder, tensors, what=what)
    return model.train(trainable)


def fill(model: Any, folder: Path, tensors: Mapping[str, Tensor], *, what: str) -> dict[str, Any]:
    """Put the weights of `folder` into the adapter of a PEFT model; give its tensors by name.

    Raises:
        AdapterError: weights are missing, left over or of another shape; the text begins with
            `what`.
    """
    peft, weights = _library("peft"), _library("safetensors.torch")
    with quiet():
        places: dict[str, Any] = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
        _require_same(places, tensors, what)
        peft.set_peft_model_state_dict(model, weights.load_file(folder / gate.WEIGHTS))
    return places


@contextlib.contextmanager
def quiet() -> Generator[None, None, None]:
    """Leave out what PEFT says of adapters that the gate has let in."""
    with warnings.catch_warnings():
        # PEFT reads names that transformers is about to drop, and says so on each call.
        warnings.simplefilter("ignore", FutureWarning)
        # BOFT looks for a CUDA compiler, and goes on without; AdaLoRA's ranks look like LoRA's.
        for said in ("Failed to load the CUDA", "Setting boft_n_butterfly", ".*rank_pattern keys"):
            warnings.filterwarnings("ignore", said)
        # The gate has seen the shapes; a layer of AdaLoRA may be left without any rank.
        warnings.filterwarnings("ignore", ".*LoRA tensor.* have invalid shape")
        # LN tuning adapts no linear layer, whose sizes PEFT would know.
        warnings.filterwarnings("ignore", "Unsupported layer type")
        yield


def _peft_config(config: AnyConfig, tensors: Mapping[str, Tensor], *, inference_mode: bool) -> Any:
    if isinstance(config, BottleneckConfig):
        tuner: Any = import_module("tunekit.adapters.bottleneck.tuner")
        return tuner.peft_config(**config.arguments(), inference_mode=inference_mode)
    peft = _library("peft")
    if isinstance(config, PeftTypeConfig):
        modules = sorted(layers(tensors.values(), config))
        kind = getattr(peft, config.config)
        return kind(**config.arguments(modules), inference_mode=inference_mode)
    arguments = config.arguments(gate.modules(tensors))
    return peft.LoraConfig(**arguments, inference_mode=inference_mode)


def _require_same(wanted: Mapping[str, Any], found: Mapping[str, Tensor], what: str) -> None:
    missing = sorted(wanted.keys() - found.keys())
    extra = sorted(found.keys() - wanted.keys())
    shapes = [
        f"{name} {list(found[name].shape)} instead of {list(wanted[name].shape)}"
        for name in sorted(wanted.keys() & found.keys())
        if tuple(wanted[name].shape) != found[name].shape
    ]
    for label, names in (("missing", missing), ("left over", extra), ("of another shape", shapes)):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise AdapterError(f"{what}: {label}: {', '.join(names[:_SHOWN])}{more}")


def _dtype(name: str | None) -> Any:
    if name is None or name == "auto":
        return "auto"
    known = ("float32", "bfloat16", "float16")
    if name not in known:
        raise AdapterError(f"dtype: {name!r} is none of auto, {', '.join(known)}")
    return getattr(_library("torch"), name)


def _library(name: str) -> Any:
    try:
        with _unadvised():
            return import_module(name)
    except ImportError as error:
        raise MissingExtra(
            f"loading an adapter needs {error.name}: pip install 'tunekit-sdk[local]'",
            backend="local",
        ) from error


@contextlib.contextmanager
def _unadvised() -> Generator[None, None, None]:
    """Keep bitsandbytes, which PEFT imports, from naming kernels that nobody has asked for."""
    log = logging.getLogger("bitsandbytes.backends.cpu.ops")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _first(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().split("\n")[0][:300]
