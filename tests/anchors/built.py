"""A trainer as the worker builds it, in this process."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import tunekit as tk
from tests.planning.setting import CPU
from tunekit import models
from tunekit.adapters.adapter import Adapter
from tunekit.backends.local.job import Job
from tunekit.data import render
from tunekit.data.prepare import prepare


def trainer(spec: tk.FineTune, folder: Path, **native: Any) -> Any:
    """Plan, write the rows, load and build; `native` goes over the trainer's arguments."""
    import torch

    from tunekit.backends.local import models as loading
    from tunekit.backends.local import trainers
    from tunekit.backends.local.rows import tokenized

    prepared = prepare(spec)
    plan = tk.Local(engine="peft", machine=CPU).plan(
        spec, models.describe(spec.model), prepared.profile
    )
    request: dict[str, Any] = plan.require().request
    request["trainer"] = {**request["trainer"], **native}
    folder.mkdir(parents=True, exist_ok=True)
    render.write(prepared.train, folder / "train.jsonl")
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        # TRL and PEFT call what transformers has renamed.
        warnings.simplefilter("ignore")
        model, tokenizer = loading.load(request)
        list(loading.fit(request, model))
        rows = tokenized(folder / "train.jsonl", request, tokenizer)
        return trainers.build(Job(folder), request, model, tokenizer, rows)


def trained(spec: tk.FineTune, folder: Path, **native: Any) -> Any:
    """Build, and train to the end."""
    built = trainer(spec, folder, **native)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built.train()
    return built


def saved(built: Any, folder: Path) -> Adapter:
    """Save as the worker does."""
    from transformers import AutoTokenizer

    from tunekit.backends.local import trainers

    source = str(folder / "model")
    request = {"peft": {}, "model": {"source": source}}
    trainers.save(built, AutoTokenizer.from_pretrained(source), request, folder / "adapter")
    return Adapter.open(folder / "adapter")


def learnt(model: Any) -> dict[str, Any]:
    """Give a copy of the weights that learn."""
    return {
        name: weight.detach().clone()
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


def logits(model: Any, *, rows: int = 2, tokens: int = 24) -> Any:
    """Give the logits of seeded rows, [rows, tokens, vocabulary], in float32."""
    import torch

    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, model.config.vocab_size, (rows, tokens), generator=generator)
    mode = model.training
    model.eval()
    with torch.no_grad():
        found = model(input_ids=ids, use_cache=False).logits.float()
    model.train(mode)
    return found
