"""What the base itself says to general prompts, mixed into the rows it is trained on."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from tunekit.backends.local.fast.lending import lent
from tunekit.backends.local.rows import TrainingRows
from tunekit.data import replay
from tunekit.data.tokens import IGNORED
from tunekit.evaluation.general import asked
from tunekit.evaluation.generate import samples
from tunekit.evaluation.measure import undisturbed
from tunekit.planning.replay import LONGEST


def mixed(
    data: TrainingRows, model: Any, tokenizer: Any, *, ratio: float, fast: bool = True
) -> TrainingRows:
    """Let the base answer general prompts and spread the answers among the rows.

    With `fast`, by our passes where they know the model.

    They are drawn at temperature 1, so that in the mean they pull the model nowhere. An answer
    that is cut off is trained on without an end.
    """
    rows = data.columns
    wanted = replay.count(len(rows["input_ids"]), ratio)
    prompts = [text for text, _ in replay.chats()]
    ids = [asked(tokenizer, prompts[number % len(prompts)]) for number in range(wanted)]
    with undisturbed(model), lent(model) if fast else nullcontext():
        said = samples(model, tokenizer, ids, length=LONGEST, seed=1)
    made = [
        ([*prompt, *answer], [IGNORED] * len(prompt) + answer)
        for prompt, answer in zip(ids, (_ended(each, tokenizer) for each in said), strict=True)
    ]
    both = replay.spread(list(zip(rows["input_ids"], rows["labels"], strict=True)), made)
    columns = {"input_ids": [row for row, _ in both], "labels": [labels for _, labels in both]}
    note = f"{len(made)} answers of the base to general prompts are mixed in"
    return TrainingRows(columns, (*data.notes, note))


def _ended(answer: list[int], tokenizer: Any) -> list[int]:
    end = tokenizer.eos_token_id
    return answer if len(answer) >= LONGEST or end is None else [*answer, int(end)]
