"""The worker's other task: measure a base and what was made of it, without training."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Generator
from typing import Any

from tunekit.adapters import loading
from tunekit.adapters.adapter import Adapter
from tunekit.backends.local import models
from tunekit.backends.local.evaluator import Evaluator
from tunekit.backends.local.fast.lending import lent
from tunekit.errors import SpecError
from tunekit.evaluation.compare import Comparison


def evaluate(request: dict[str, Any], say: Callable[[str], None]) -> Comparison:
    """Measure the base, then the adapter or model in `request["adapter"]`, and compare.

    Raises:
        AdapterError: the adapter does not fit its base.
        SpecError: there are no held-out rows.
    """
    adapter = Adapter.open(request["adapter"])
    source = models.locate(request["model"]["source"])
    dtype, device = request["model"]["dtype"], request["device"]
    say(f"loading {request['model']['source']}")
    tokenizer = adapter.tokenizer(base=source)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    with _models(adapter, source, dtype=dtype, device=device) as (base, tuned):
        for line in models.fit(request, base):
            say(line)
        evaluator = Evaluator.read(request, tokenizer)
        if evaluator is None:
            raise SpecError("evaluation: there are no held-out rows to measure on")
        say("measuring the base")
        with lent(base), getattr(base, "disable_adapter", contextlib.nullcontext)():
            evaluator.base(base)
        del base
        say("measuring the tuned model")
        model = tuned()
        with lent(model):
            return evaluator.tuned(model, adapter.folder)


@contextlib.contextmanager
def _models(
    adapter: Adapter, source: str, *, dtype: str, device: str
) -> Generator[tuple[Any, Callable[[], Any]], None, None]:
    """Give the base, and what loads the tuned model: of an adapter, both are one."""
    if adapter.kind == "adapter":
        model = adapter.load(base=source, dtype=dtype, device=device)
        yield model, lambda: model
        return
    held = [loading.load_model(source, dtype=dtype).eval().to(device)]

    def tuned() -> Any:
        # Two models may be more than the device holds.
        held.clear()
        gc.collect()
        return adapter.load(dtype=dtype, device=device)

    yield held[0], tuned
