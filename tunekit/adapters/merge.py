"""Fold an adapter into a fresh copy of its base, and prove that the two answer alike."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunekit.adapters import gate
from tunekit.adapters.loading import load_model
from tunekit.adapters.provenance import Provenance
from tunekit.errors import AdapterError
from tunekit.files import sync_folder

PROMPTS = (
    "The order arrived on Tuesday, but two of the five parcels were",
    '{"name": "Ada", "year": 1815, "city": "London"}\nIn other words:',
)
_TOLERANCE = {"float32": 1e-4}
_COARSE = 2e-2
"""Largest difference of two logits over the largest logit: 16-bit numbers keep 2 to 3 digits."""


def merge(
    load: Callable[[], Any], tokenizer: Any, into: Path, *, provenance: Provenance | None
) -> Path:
    """Merge what `load` gives (a PEFT model on a fresh base) into the folder of a full model.

    The merged model is read back from disk and must give the logits of base and adapter on two
    prompts. The folder appears when that holds, or not at all.

    Raises:
        AdapterError: the folder is taken, the base is quantized, or the two models differ.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise AdapterError(f"{into}: is not an empty folder; name one that does not exist")
    into.parent.mkdir(parents=True, exist_ok=True)
    part = into.with_name(f".{into.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        dtype, expected = _save(load(), tokenizer, part)
        gc.collect()
        if provenance:
            provenance.write(part)
        gate.check(part)
        _require_parity(part, tokenizer, dtype, expected)
        if into.exists():
            into.rmdir()
        part.replace(into)
        sync_folder(into.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return into


def _save(model: Any, tokenizer: Any, part: Path) -> tuple[str, list[Any]]:
    """Leave the merged model in `part`; give its precision and the logits it should have."""
    base = model.get_base_model()
    if getattr(base, "quantization_method", None) is not None:
        raise AdapterError(
            f"{base.config.name_or_path} is stored quantized, and merging into it would round "
            "the adapter away; give 16-bit weights: merge(into, base=FOLDER_OR_ID)"
        )
    expected = _logits(model, tokenizer)
    try:
        merged = model.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise AdapterError(f"the adapter cannot be merged: {error}") from error
    merged.save_pretrained(part)
    tokenizer.save_pretrained(part)
    return str(merged.dtype).removeprefix("torch."), expected


def _require_parity(part: Path, tokenizer: Any, dtype: str, expected: list[Any]) -> None:
    found = _logits(load_model(str(part), dtype=dtype), tokenizer)
    limit = _TOLERANCE.get(dtype, _COARSE)
    for ours, theirs in zip(found, expected, strict=True):
        difference = ((ours - theirs).abs().max() / theirs.abs().max()).item()
        # Written so that a difference that is not a number fails too.
        if not difference <= limit:
            raise AdapterError(
                f"the merged model answers otherwise than base and adapter: its logits are off "
                f"by {difference:.2g} of the largest, {limit:g} is allowed in {dtype}; "
                "merge with dtype='float32', or keep the adapter apart"
            )


def _logits(model: Any, tokenizer: Any) -> list[Any]:
    """Give the logits of each prompt, [tokens, vocabulary], in float32."""
    import torch

    model.eval()
    found: list[Any] = []
    for prompt in PROMPTS:
        ids = torch.tensor([tokenizer(prompt)["input_ids"]], device=model.device)
        with torch.no_grad():
            found.append(model(input_ids=ids, use_cache=False).logits[0].float().cpu())
    return found
