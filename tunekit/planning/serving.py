"""What a server of many adapters over one base refuses, found before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from tunekit.adapters.peft_types.table import TYPES
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as `max_lora_rank` (vllm/config/lora.py)."""
_HELPER = "vllm/lora/peft_helper.py"
_CONFIG = "vllm/config/lora.py"
_TWICE = ("pissa", "olora", "loftq")
"""Inits that rewrite the base, so that the adapter is saved with twice the rank (PEFT)."""
_ONLY = (
    "vLLM and SGLang serve LoRA and QLoRA adapters beside each other; what {type} leaves {way} "
    "(docs.vllm.ai, features/lora)"
)
_UNMERGED = ("prefix", "prompt", "ptuning", "bottleneck")
"""Methods that change no weight, so that the base cannot take them in."""


def most_rank(spec: FineTune) -> int | None:
    """Give the highest rank that may be trained for the server; None where there is none."""
    if spec.output.serve is None:
        return None
    most = spec.output.max_lora_rank
    return max(1, most // 2) if _doubles(spec.method) else most


def refusal(
    spec: FineTune, value: Callable[[str], Any], native: Mapping[str, Any] | None = None
) -> Change | None:
    """Say why a server of many adapters will not take the result, None where it will.

    Args:
        spec: `output.serve` says whether there is such a server.
        value: gives a field with its automatic value.
        native: what the request says to PEFT, with the native settings of the spec.
    """
    if spec.output.serve is None:
        return None
    reasons = list(dict.fromkeys(_reasons(spec, value, native or {})))
    if not reasons:
        return None
    return Change(
        field="output.serve",
        outcome="unsupported",
        asked=spec.output.serve,
        reason="; ".join(reasons),
        source="vLLM",
    )


def _reasons(
    spec: FineTune, value: Callable[[str], Any], native: Mapping[str, Any]
) -> Iterator[str]:
    method: Any = spec.method
    if method.type == "peft" and method.config.get("peft_type") == "LORA":
        yield from _config({**native, **method.config}, spec.output.max_lora_rank)
    elif method.type not in ("lora", "qlora"):
        yield _ONLY.format(type=method.type, way=_way(method))
    else:
        if spec.objective.type == "reward":
            yield "a model of scores has a head of its own, which no server of LoRA loads"
        if getattr(method, "use_dora", False):
            yield f"DoRA is refused ({_HELPER}): method.use_dora=false"
        rank = value("method.rank")
        if isinstance(rank, int):
            yield from _rank(rank, spec.output.max_lora_rank, twice=_doubles(method))
        yield from _whole(native)


def _way(method: Any) -> str:
    """Say how the result of a method is served, which is no adapter for such a server."""
    if method.type == "full":
        return "is a model of its own, and served alone"
    kind = TYPES.get(method.config["peft_type"]) if method.type == "peft" else None
    if method.type in _UNMERGED or (kind and not kind.merges):
        return "cannot be merged into its base either; `tunekit chat` runs it, and lora is served"
    return "is served alone, or merged into its base"


def _doubles(method: Any) -> bool:
    return getattr(method, "init", "default") in _TWICE


def _rank(rank: int, most: int, *, twice: bool) -> Iterator[str]:
    saved = 2 * rank if twice else rank
    if saved <= most:
        return
    how = f"method.rank is {rank}"
    if twice:
        how += f", and an adapter that rewrites its base is saved with rank {saved}"
    enough = next((each for each in RANKS if each >= saved), None)
    way = "" if enough is None else f"start vLLM with --max-lora-rank {enough} and say so here "
    way += "" if enough is None else f"(output.max_lora_rank={enough}), or "
    yield (
        f"{how}; the server takes {most} at most ({_CONFIG}): {way}"
        f"method.rank={max(1, most // 2) if twice else most}"
    )


def _config(config: Mapping[str, Any], most: int) -> Iterator[str]:
    """Judge a LoRA that is given as PEFT's own configuration."""
    if config.get("use_dora"):
        yield f"DoRA is refused ({_HELPER}): leave out use_dora"
    yield from _whole(config)
    ranks = [config.get("r", 8)]
    pattern = config.get("rank_pattern")
    if isinstance(pattern, Mapping):
        ranks += cast("Mapping[str, Any]", pattern).values()
    yield from _rank(max(ranks), most, twice=config.get("init_lora_weights") in _TWICE)


def _whole(config: Mapping[str, Any]) -> Iterator[str]:
    """Find what an adapter holds beside its low-rank matrices."""
    if config.get("bias", "none") != "none":
        yield f"biases are refused ({_HELPER}): bias=none"
    if config.get("modules_to_save"):
        yield (
            f"whole layers are refused ({_HELPER}), such as lm_head or embed_tokens: leave out "
            "modules_to_save"
        )
    if config.get("trainable_token_indices"):
        yield f"trained tokens are refused ({_HELPER}): leave out trainable_token_indices"
