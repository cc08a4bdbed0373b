"""An adapter that begins with the weights of another, and the frozen copy that it is compared with.

TRL's trainers of preferences and rewards ask the adapter named "ref" for the reference, where there
is one, and else the base (`trl.trainer.utils.use_adapter`).
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from tunekit.adapters import gate, loading
from tunekit.adapters.header import read_header
from tunekit.backends.local.fast.modules import ADAPTER as TRAINED
from tunekit.backends.local.fast.modules import REFERENCE
from tunekit.backends.local.warm_start import kept
from tunekit.errors import AdapterError


def take(model: Any, start: Mapping[str, Any]) -> Iterator[str]:
    """Fill the new adapter of a PEFT model, keep a copy if one is asked for, and say so.

    Raises:
        SpecError: the weights are not those of the plan.
        AdapterError: they do not fit the adapter to the last tensor.
    """
    folder = kept.folder(start)
    gate.check(folder)
    _fill(model, folder, named=start["folder"])
    yield f"going on from {start['folder']}"
    if start["reference"]:
        _add_reference(model)
        yield "the reference is the adapter as it begins"


def _fill(model: Any, folder: Path, *, named: str) -> None:
    what = f"start_from: {named} does not fit the adapter that is trained"
    places = loading.fill(model, folder, read_header(folder / gate.WEIGHTS), what=what)
    if model.active_peft_config.is_prompt_learning:
        return  # one tensor, and PEFT gives a copy of it
    there = {tensor.data_ptr() for tensor in places.values()}
    learning = _learning(model).items()
    if left := sorted(name for name, weight in learning if weight.data_ptr() not in there):
        raise AdapterError(f"{what}: nothing is saved for {left[0]}, which learns too")


def _add_reference(model: Any) -> None:
    """Add a frozen copy of the adapter, which is neither trained nor saved."""
    learning = _learning(model).keys()
    with loading.quiet():
        # PEFT finds "ref" in the word "prefix", which it looks for in names of tensors.
        warnings.filterwarnings("ignore", "Adapter name 'ref' should not be contained")
        model.add_adapter(REFERENCE, copy.deepcopy(model.peft_config[TRAINED]))
    model.set_adapter(TRAINED)
    tensors = dict(chain(model.named_parameters(), model.named_buffers()))
    for name, tensor in tensors.items():
        twin = tensors.get(_twin(name))
        if twin is not None and twin is not tensor:
            # In the same precision, so that both give the same numbers.
            twin.data = tensor.detach().clone()
            twin.requires_grad_(False)
    if _learning(model).keys() != learning:
        raise AdapterError("start_from: PEFT lets other weights learn beside a second adapter")
    model.save_pretrained = partial(model.save_pretrained, selected_adapters=[TRAINED])


def _twin(name: str) -> str:
    """Give the name of a tensor's copy."""
    return ".".join(REFERENCE if part == TRAINED else part for part in name.split("."))


def _learning(model: Any) -> dict[str, Any]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
