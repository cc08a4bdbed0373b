"""The worker's third task: find how much of an adapter to use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunekit.adapters.adapter import Adapter
from tunekit.backends.local import models
from tunekit.backends.local.evaluator import Evaluator
from tunekit.backends.local.fast.lending import lent
from tunekit.errors import SpecError
from tunekit.evaluation.forward import score
from tunekit.evaluation.measure import measurement, undisturbed
from tunekit.evaluation.mitigation import Mitigation, search
from tunekit.evaluation.verdict import Forgetting


def weaken(request: dict[str, Any], say: Callable[[str], None]) -> Mitigation:
    """Measure the adapter at scales from 1 down, and compare at the one that is chosen.

    Raises:
        AdapterError: the adapter does not fit its base.
        SpecError: there is nothing to measure what was learnt or forgotten on.
    """
    from peft.helpers import rescale_adapter_scale

    adapter = Adapter.open(request["adapter"])
    source = models.locate(request["model"]["source"])
    say(f"loading {request['model']['source']}")
    tokenizer = adapter.tokenizer(base=source)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = adapter.load(base=source, dtype=request["model"]["dtype"], device=request["device"])
    for line in models.fit(request, model):
        say(line)
    evaluator = Evaluator.read(request, tokenizer)
    if evaluator is None or evaluator.observer is None or not evaluator.held_out.tokens:
        raise SpecError("evaluation: there is nothing here to measure gain and forgetting on")
    say("measuring the base")
    with lent(model), model.disable_adapter():
        evaluator.base(model)

    def look(scale: float) -> tuple[float, Forgetting]:
        say(f"measuring the adapter at {scale:g}")
        with rescale_adapter_scale(model, scale), lent(model):
            with undisturbed(model):
                found = measurement(score(model, evaluator.held_out.tokens))
            forgotten = evaluator.forgotten(model)
        if found.loss is None or forgotten is None:
            raise SpecError("evaluation: the loss is not finite; nothing can be kept of it")
        return found.loss, forgotten

    wanted = request["mitigate"]
    found = search(evaluator.base_loss, look, keep=wanted["keep"], worst=wanted["worst"])
    if found.chosen is None:
        return found
    say(f"measuring answers at {found.chosen:g}")
    with rescale_adapter_scale(model, found.chosen), lent(model):
        comparison = evaluator.tuned(model, adapter.folder)
    return found.model_copy(update={"comparison": comparison})
