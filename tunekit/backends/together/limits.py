"""What a model takes at Together, compared with a request before anything is bought."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from tunekit.errors import RequestRejected

Limits = Mapping[str, Any]
Request = Mapping[str, Any]


def require_within(request: Request, limits: Limits) -> None:
    """Refuse a request that goes beyond the limits of its model.

    Raises:
        RequestRejected: names every field that does, and how to mend it.
    """
    model = limits.get("model_name") or request.get("model") or request.get("from_checkpoint")
    faults = list(_faults(request, limits))
    if faults:
        raise RequestRejected(
            f"together takes no such job for {model}; nothing was bought:\n  - "
            + "\n  - ".join(faults),
            backend="together",
        )


def _faults(request: Request, limits: Limits) -> Iterator[str]:
    pairs = _part(request, "training_method").get("method") == "dpo"
    longest = limits.get("max_seq_length_dpo" if pairs else "max_seq_length_sft")
    epochs = limits.get("max_num_epochs")
    rates = (limits.get("min_learning_rate"), limits.get("max_learning_rate"))
    lengths = (limits.get("min_max_seq_length"), longest)
    yield from _bound("training.epochs", request.get("n_epochs"), 1, epochs)
    yield from _bound("training.learning_rate", request.get("learning_rate"), *rates)
    yield from _bound("training.max_length", request.get("max_seq_length"), *lengths)
    for name in ("n_evals", "n_checkpoints"):
        most = limits.get(name.replace("n_", "max_num_"))
        yield from _bound(f"extra.together.{name}", request.get(name), None, most)
    yield from _stopping(request)
    yield from _type(request, limits, pairs=pairs)


def _type(request: Request, limits: Limits, *, pairs: bool) -> Iterator[str]:
    kind = _part(request, "training_type")
    full = kind.get("type") == "Full"
    if full and (
        limits.get("supports_full_training") is False or limits.get("full_training", kind) is None
    ):
        yield "method.type: it is not trained in full there; --set method=lora"
        return
    group = _part(limits, "full_training" if full else "lora_training")
    most = group.get("max_batch_size_dpo" if pairs else "max_batch_size")
    batch = request.get("batch_size")
    yield from _bound("training.batch_size", batch, group.get("min_batch_size"), most)
    if not full:
        yield from _bound("method.rank", kind.get("lora_r"), 1, group.get("max_rank"))
        yield from _modules(kind.get("lora_trainable_modules"), group.get("target_modules"))


def _bound(field: str, value: Any, least: Any, most: Any) -> Iterator[str]:
    if not _is_number(value):
        return
    for limit, wrong, word in (
        (least, _is_number(least) and value < least, "least"),
        (most, _is_number(most) and value > most, "most"),
    ):
        if wrong:
            yield f"{field}: {value:g} is beyond {limit:g}, the {word}; --set {field}={limit:g}"


def _modules(asked: Any, known: Any) -> Iterator[str]:
    names = cast("Sequence[str]", known) if isinstance(known, list) else ()
    if not isinstance(asked, str) or not names:
        return
    unknown = [name for name in asked.split(",") if name not in (*names, "all-linear")]
    if unknown:
        yield (
            f"method.target_modules: it has no {', '.join(unknown)}, but {', '.join(names)}; "
            "--set method.target_modules=all-linear"
        )


def _stopping(request: Request) -> Iterator[str]:
    """Check that there are evaluations enough to stop early by; defaults are Together's."""
    if not request.get("early_stopping_enabled"):
        return
    patience = request.get("early_stopping_patience", 2)
    least = patience + request.get("early_stopping_warmup_evals", 1) + 1
    if request.get("n_evals", 0) < least:
        yield (
            f"extra.together.early_stopping_patience: {patience} needs {least} evaluations of "
            f"held-out rows; --set extra.together.n_evals={least}, or hold rows out with validation"
        )


def _part(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = whole.get(name)
    return cast("Mapping[str, Any]", part) if isinstance(part, Mapping) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
