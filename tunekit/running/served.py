"""Evaluate a run through the endpoint that serves it: answers only, no losses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from tunekit.backends import judging, registry
from tunekit.backends.local.sizes import answers as answered
from tunekit.data import render
from tunekit.data.rows import Conversation, Message, Preference, Row
from tunekit.errors import RunError
from tunekit.evaluation import gate
from tunekit.evaluation.clusters import clusters
from tunekit.evaluation.compare import Comparison, compare
from tunekit.evaluation.differences import Clusters
from tunekit.evaluation.measurement import Measurement
from tunekit.evaluation.text_scores import library
from tunekit.events import EvaluationEvent
from tunekit.running.endpoint import Endpoint
from tunekit.spec.finetune import FineTune
from tunekit.store import RunFolder

_LETTERS, _LEAST, _MOST = 3, 64, 512
"""Without a tokenizer, an answer may have a token for every 3 letters of the longest reference."""


def evaluate(
    folder: RunFolder, endpoint: Endpoint | None, *, base: str | None = None
) -> Comparison:
    """Let the served model and its base answer the held-out prompts, and compare.

    Args:
        folder: The run.
        endpoint: Where the tuned model is served, if anywhere.
        base: What the backend's chat API calls the base; None is what the run was started with.

    Raises:
        RunError: the model is served nowhere, or the run held out no chats.
        BackendError: a model does not answer.
        MissingExtra: numpy is not installed.
    """
    if endpoint is None:
        raise RunError(
            f"{folder.id} is served nowhere; `tunekit deploy {folder.id}` begins it, and costs "
            "money until `tunekit undeploy`",
            run_id=folder.id,
        )
    library("numpy")
    start = time.monotonic()
    entry = folder.read()
    spec = FineTune(**entry.spec)
    rows = _chats(folder, spec, entry.data.get("profile", {}).get("rows", 0))
    backend = registry.resolve(entry.backend)
    prompts, references = [_asked(row) for row in rows], [_reference(row) for row in rows]
    length = spec.evaluation.max_new_tokens
    most = _length(references) if length == "auto" else length
    name = base or entry.plan.used("model") or entry.plan.model

    def tuned(messages: Sequence[dict[str, Any]]) -> str:
        return endpoint.chat(messages, max_new_tokens=most)

    def untuned(messages: Sequence[dict[str, Any]]) -> str:
        return backend.chat(name, messages, max_new_tokens=most)

    found = compare(
        _measured(untuned, prompts),
        _measured(tuned, prompts),
        prompts=[_written(messages) for messages in prompts],
        references=references,
        examples=spec.evaluation.examples,
        metrics=None if spec.evaluation.metrics == "auto" else spec.evaluation.metrics,
        clusters=Clusters(prompts=clusters(rows)),
        json_schema=spec.evaluation.json_schema,
    )
    if spec.evaluation.judge is not None:
        found = judging.added(found, spec.evaluation.judge.model_dump(mode="json"))
    if spec.evaluation.gate is not None:
        wanted = spec.evaluation.gate.model_dump(mode="json")
        found = found.model_copy(update={"gate": gate.passes(found, wanted)})
    found = found.model_copy(update={"seconds": time.monotonic() - start})
    event = EvaluationEvent(
        id=f"served-{time.time_ns()}", time=time.time(), result=found.model_dump(mode="json")
    )
    with folder.refreshing() as record:
        folder.append(record, [event])
    return found


def _chats(folder: RunFolder, spec: FineTune, trained: int) -> list[Row]:
    file = folder.data / "validation.jsonl"
    wanted = spec.evaluation.generations
    count = answered(trained) if wanted == "auto" else wanted
    rows = render.read(file) if file.exists() else iter(())
    found = list(islice((row for row in rows if _turns(row)), count))
    if not found:
        raise RunError(
            f"{folder.id} held out no chats that an endpoint could answer", run_id=folder.id
        )
    return found


def _turns(row: Row) -> tuple[Message, ...]:
    """Give the turns up to and with the last answer; nothing for what is no chat."""
    if isinstance(row, Conversation):
        turns = row.messages
    elif isinstance(row, Preference) and not isinstance(row.prompt, str):
        turns = (*row.prompt, *(turn for turn in row.chosen if isinstance(turn, Message)))
    else:
        return ()
    last = max((n for n, turn in enumerate(turns) if turn.role == "assistant"), default=0)
    return turns[: last + 1] if last and isinstance(turns[last].content, str) else ()


def _asked(row: Row) -> list[dict[str, Any]]:
    kept = {"role", "content", "name", "tool_calls", "tool_call_id"}
    return [
        turn.model_dump(mode="json", exclude_none=True, include=kept) for turn in _turns(row)[:-1]
    ]


def _reference(row: Row) -> str:
    return str(_turns(row)[-1].content)


def _measured(
    ask: Callable[[Sequence[dict[str, Any]]], str], prompts: Sequence[Sequence[dict[str, Any]]]
) -> Measurement:
    return Measurement(answers=tuple(ask(messages) for messages in prompts))


def _written(messages: Sequence[dict[str, Any]]) -> str:
    return "\n".join(f"{turn['role']}: {turn.get('content') or ''}" for turn in messages)


def _length(references: Sequence[str]) -> int:
    return min(_MOST, max(_LEAST, max(map(len, references)) // _LETTERS))
