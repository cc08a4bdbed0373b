"""Rows with a better and a worse answer, as TRL, Axolotl, OpenAI or UltraFeedback have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunekit.data import messages
from tunekit.data.issues import Fault
from tunekit.data.json_text import as_list, as_object
from tunekit.data.rows import Message, Preference, Row, Where

Raw = Mapping[str, Any]
Turns = tuple[Message, ...]

ASKED = ("prompt", "question", "input", "instruction")
"""Names of what both answers are to; the datasets that Axolotl reads use all of them."""
ANSWERS = (("chosen", "rejected"), ("chosen_response", "rejected_response"))
SCORES = ("overall_score", "fine-grained_score")
"""Names of how good one of UltraFeedback's completions is."""

_TURN_OF_TEXT = "\n\nAssistant:"
"""Ends the prompt in transcripts that are one text (the hh-rlhf datasets)."""


def preference(row: Raw, where: Where) -> Row:
    """Read a pair: `prompt`, `chosen`, `rejected`, or OpenAI's `preferred_output`.

    Without a prompt, it is what both answers begin with. A prompt under another name than
    `prompt`, or beside a `system`, is a turn of a chat.
    """
    if "preferred_output" in row:
        return _openai(row, where)
    asked = asked_in(row)
    better, worse = next((keys for keys in ANSWERS if keys[0] in row), ANSWERS[0])
    chosen, rejected = row[better], row[worse]
    if isinstance(chosen, str) and isinstance(rejected, str) and _is_text(row, asked):
        prompt = row.get(asked)
        if prompt is None:
            prompt, chosen, rejected = _split_text(chosen, rejected)
        return Preference(
            prompt=prompt,
            chosen=chosen,
            rejected=rejected,
            parallel_tool_calls=messages.parallel(row),
            weight=messages.row_weight(row),
            where=where,
        )
    return chat_preference(
        (*system(row), *_asked(row, asked, alone=isinstance(chosen, (str, Mapping)))),
        answer(chosen, key=better),
        answer(rejected, key=worse),
        tools=messages.tools(row.get("tools")),
        parallel_tool_calls=messages.parallel(row),
        weight=messages.row_weight(row),
        where=where,
    )


def ultrafeedback(row: Raw, where: Where) -> Row:
    """Read `instruction` and scored `completions`: the best against the worst of them.

    Raises:
        Fault: `tied-scores`, none of them is better than another.
    """
    completions = as_list(row["completions"])
    if completions is None:
        raise messages.wrong_type("completions", row["completions"], "a list of answers")
    scored = [_scored(item, f"completions[{index}]") for index, item in enumerate(completions)]
    scores = [score for score, _ in scored]
    if len(set(scores)) < 2:
        raise Fault(
            "tied-scores",
            f"the {len(scored)} completions have the same score, so none is the better one",
            "leave such rows out: data: {drop: [tied-scores]}",
        )
    best, worst = scored[scores.index(max(scores))][1], scored[scores.index(min(scores))][1]
    question = Message(role="user", content=messages.string(row, "instruction"))
    return Preference(
        prompt=(question,),
        chosen=answer(best, key="completions"),
        rejected=answer(worst, key="completions"),
        where=where,
    )


def chat_preference(
    prompt: Turns,
    chosen: Turns,
    rejected: Turns,
    *,
    tools: list[dict[str, Any]] | None,
    parallel_tool_calls: bool | None = None,
    weight: float | None = None,
    where: Where,
) -> Row:
    """Split prompt and answers, whether the answers repeat the prompt or not.

    Raises:
        Fault: `prompt-mismatch`, the answers belong to different prompts.
    """
    shared = _shared(chosen, rejected)
    if not prompt:
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    elif shared and _repeats(prompt, chosen[:shared]):
        # The answers hold more of the prompt than the key, such as a system turn.
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if not prompt or chosen[0].role != "assistant" or rejected[0].role != "assistant":
        raise Fault(
            "prompt-mismatch",
            "chosen and rejected are not answers to the same prompt",
            "both must begin with the same turns and part at an assistant's turn",
        )
    return Preference(
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
        tools=tools,
        parallel_tool_calls=parallel_tool_calls,
        weight=weight,
        where=where,
    )


def answer(value: Any, *, key: str) -> Turns:
    """Read an answer: text, one turn, or turns."""
    if isinstance(value, str):
        return (Message(role="assistant", content=value),)
    return messages.turns(value, key=key)


def question(prompt: Any) -> Turns:
    """Read what is asked: text, one turn, or turns."""
    if isinstance(prompt, str):
        return (Message(role="user", content=prompt),)
    return messages.turns(prompt, key="prompt")


def system(row: Raw) -> Turns:
    """Read `system`, where it says something."""
    text = messages.string(row, "system")
    return (Message(role="system", content=text),) if text else ()


def asked_in(row: Raw) -> str:
    """Name the key of a pair's prompt.

    Raises:
        Fault: `two-spellings`, none is called `prompt` and there are several.
    """
    keys = [key for key in ASKED if key in row]
    if len(keys) > 1 and keys[0] != "prompt":
        raise Fault(
            "two-spellings",
            f"the row has {keys[0]!r} and {keys[1]!r}, and one of them is the prompt",
            f'say which: data: {{mapping: {{"prompt": "{keys[0]}"}}}}',
        )
    return keys[0] if keys else "prompt"


def _is_text(row: Raw, asked: str) -> bool:
    """Say whether a pair of texts is one without turns."""
    if asked != "prompt" or "system" in row:
        return False
    return isinstance(row.get("prompt", ""), str) and ("prompt" in row or "messages" not in row)


def _asked(row: Raw, asked: str, *, alone: bool) -> Turns:
    """Give the prompt; answers that are `alone` may have it in `messages`."""
    prompt = row.get(asked)
    if prompt is None and alone:
        prompt = row.get("messages")
    return () if prompt is None else question(prompt)


def _scored(item: Any, place: str) -> tuple[float, Any]:
    given = as_object(item) or {}
    score = next((given[key] for key in SCORES if given.get(key) is not None), None)
    if isinstance(score, (int, float)) and isinstance(given.get("response"), str):
        return float(score), given["response"]
    wanted = f'an answer such as {{"response": "...", "{SCORES[0]}": 7.5}}'
    raise messages.wrong_type(place, item, wanted)


def _openai(row: Raw, where: Where) -> Row:
    given, beside = row["input"], row
    if (asked := as_object(given)) is not None:
        given, beside = asked.get("messages"), {**row, **asked}
    return chat_preference(
        messages.turns(given, key="input.messages"),
        answer(row["preferred_output"], key="preferred_output"),
        answer(row["non_preferred_output"], key="non_preferred_output"),
        tools=messages.tools(beside.get("tools")),
        parallel_tool_calls=messages.parallel(beside),
        weight=messages.row_weight(row),
        where=where,
    )


def _shared(chosen: Turns, rejected: Turns) -> int:
    """Count the turns both begin with; each keeps at least one of its own."""
    most = min(len(chosen), len(rejected)) - 1
    return next((i for i in range(most) if chosen[i] != rejected[i]), most)


def _repeats(prompt: Turns, beginning: Turns) -> bool:
    return prompt in (beginning[: len(prompt)], beginning[-len(prompt) :])


def _split_text(chosen: str, rejected: str) -> tuple[str, str, str]:
    """Take the prompt off two transcripts: all up to the last answer's mark that they share."""
    differ = (i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b)
    same = next(differ, min(len(chosen), len(rejected)))
    end = chosen.rfind(_TURN_OF_TEXT, 0, same)
    if end < 0:
        raise Fault(
            "no-prompt",
            "chosen and rejected are text, and there is no prompt",
            'add "prompt": the text that both answer',
        )
    end += len(_TURN_OF_TEXT)
    return chosen[:end], chosen[end:], rejected[end:]
