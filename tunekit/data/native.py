"""Rows in the form that a trainer or a service takes.

Shapes: TRL's dataset formats; the data pages of Together, Fireworks and OpenAI; ShareGPT and
Alpaca as LLaMA-Factory reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tunekit.data.issues import Fault
from tunekit.data.rows import (
    Completion,
    Conversation,
    Judged,
    Message,
    Preference,
    Prompt,
    Row,
    Text,
    said_weight,
)

Native = dict[str, Any]
Part = str | tuple[Message, ...]


def trl(row: Row) -> Native:
    """Write a row for TRL: arguments of calls as objects, as chat templates read them."""
    if isinstance(row, Conversation):
        return _given(messages=_turns(row.messages, parsed=True), tools=row.tools)
    if isinstance(row, Text):
        return {"text": row.text}
    if isinstance(row, Completion):
        return {"prompt": row.prompt, "completion": row.completion}
    prompt = _part(row.prompt, parsed=True)
    if isinstance(row, Preference):
        return _given(
            prompt=prompt,
            chosen=_part(row.chosen, parsed=True),
            rejected=_part(row.rejected, parsed=True),
            tools=row.tools,
        )
    if isinstance(row, Prompt):
        return {**_given(prompt=prompt, tools=row.tools), **(row.fields or {})}
    return {
        "prompt": prompt,
        "completion": _part(row.completion, parsed=True),
        "label": row.label,
    }


def together(row: Row) -> Native:
    """Write a row for Together: prompt/completion and text too; `reasoning` beside `content`.

    Rows of every kind may weigh something.
    """
    weight = said_weight(row)
    if weight is not None and weight < 0:
        raise Fault(
            "not-expressible",
            f"the row weighs {weight:g}, and Together takes no weight below 0",
            "leave the row out, or make it the rejected answer of a pair",
        )
    if isinstance(row, Completion):
        return _given(prompt=row.prompt, completion=row.completion, weight=weight)
    if isinstance(row, Text):
        return _given(text=row.text, weight=weight)
    return _given(**_service(row, "Together", reasoning="reasoning"), weight=weight)


def fireworks(row: Row) -> Native:
    """Write a row for Fireworks: chats and pairs; `reasoning_content` beside `content`.

    Chats may weigh something.
    """
    weight = None if isinstance(row, Preference) else said_weight(row)
    return _given(**_service(row, "Fireworks", reasoning="reasoning_content"), weight=weight)


def openai(row: Row) -> Native:
    """Write a row for OpenAI: chats and pairs, without reasoning."""
    native = _service(row, "OpenAI", reasoning=None)
    if isinstance(row, (Conversation, Preference)) and row.parallel_tool_calls is not None:
        # Of a pair it stands beside the prompt.
        native.get("input", native)["parallel_tool_calls"] = row.parallel_tool_calls
    return native


def sharegpt(row: Row) -> Native:
    """Write a chat, a pair or a verdict with `conversations` of from/value."""
    if isinstance(row, Conversation):
        return _given(conversations=_sharegpt_turns(row.messages), tools=row.tools)
    if isinstance(row, (Preference, Judged)) and not isinstance(row.prompt, str):
        asked = _sharegpt_turns(row.prompt)
        if isinstance(row, Judged):
            answer = _sharegpt_turns(_as_turns(row.completion, "assistant"))
            return {"conversations": [*asked, *answer], "kto_tag": row.label}
        answers = (_as_turns(part, "assistant") for part in (row.chosen, row.rejected))
        chosen, rejected = (_sharegpt_turns(_single(turns, "ShareGPT"))[0] for turns in answers)
        return _given(conversations=asked, chosen=chosen, rejected=rejected, tools=row.tools)
    raise _unheld(row, "ShareGPT")


def alpaca(row: Row) -> Native:
    """Write a chat of question and answer in turn as instruction, output, history, system."""
    if not isinstance(row, Conversation):
        raise _unheld(row, "Alpaca")
    turns = list(row.messages)
    system = turns.pop(0).content if turns[0].role == "system" else None
    questions, answers = turns[::2], turns[1::2]
    in_turn = all(t.role == "user" for t in questions) and all(
        t.role == "assistant" and t.content is not None for t in answers
    )
    if not in_turn or len(questions) != len(answers) or not turns:
        raise Fault(
            "not-expressible",
            "Alpaca holds question and answer in turn and nothing else",
            "write it as trl or sharegpt",
        )
    history = [[q.content, a.content] for q, a in zip(questions, answers, strict=True)]
    asked, answered = history.pop()
    return _given(
        instruction=asked, output=answered, system=system, history=history or None, tools=row.tools
    )


TARGETS: Mapping[str, Callable[[Row], Native]] = {
    "trl": trl,
    "together": together,
    "fireworks": fireworks,
    "openai": openai,
    "sharegpt": sharegpt,
    "alpaca": alpaca,
}
"""Every form that rows can be written in."""


def _service(row: Row, name: str, *, reasoning: str | None) -> Native:
    """Write what the three services have in common."""
    if isinstance(row, Conversation):
        return _given(messages=_turns(row.messages, reasoning=reasoning), tools=row.tools)
    if isinstance(row, Completion):
        asked, said = _as_turns(row.prompt, "user"), _as_turns(row.completion, "assistant")
        return {"messages": _turns((*asked, *said))}
    if isinstance(row, Preference):
        question = _turns(_as_turns(row.prompt, "user"), reasoning=reasoning)
        chosen, rejected = (
            _turns(_single(_as_turns(part, "assistant"), name), reasoning=reasoning)
            for part in (row.chosen, row.rejected)
        )
        return {
            "input": _given(messages=question, tools=row.tools),
            "preferred_output": chosen,
            "non_preferred_output": rejected,
        }
    raise _unheld(row, name)


def _unheld(row: Row, name: str) -> Fault:
    return Fault(
        "not-expressible",
        f"{name} has no form for {row.kind} rows",
        "choose another target, or rows of another kind",
    )


def _single(turns: tuple[Message, ...], name: str) -> tuple[Message, ...]:
    if len(turns) == 1:
        return turns
    raise Fault(
        "not-expressible",
        f"an answer of {len(turns)} turns; {name} takes one turn for each answer of a pair",
        "move the turns that both answers share into the prompt, or leave the row out",
    )


def _as_turns(part: Part, role: Any) -> tuple[Message, ...]:
    return (Message(role=role, content=part),) if isinstance(part, str) else part


def _part(part: Part, *, parsed: bool) -> Any:
    return part if isinstance(part, str) else _turns(part, parsed=parsed)


def _turns(
    turns: tuple[Message, ...], *, parsed: bool = False, reasoning: str | None = "reasoning"
) -> list[Native]:
    return [_turn(turn, parsed=parsed, reasoning=reasoning) for turn in turns]


def _turn(turn: Message, *, parsed: bool, reasoning: str | None) -> Native:
    written = turn.model_dump(exclude_none=True, exclude={"reasoning"})
    if turn.reasoning is not None and reasoning:
        written[reasoning] = turn.reasoning
    if turn.tool_calls and parsed:
        written["tool_calls"] = [_parsed(call) for call in turn.tool_calls]
    if turn.weight is not None:
        written["weight"] = int(turn.weight)
    return written


def _parsed(call: Native) -> Native:
    function = call["function"]
    return {**call, "function": {**function, "arguments": json.loads(function["arguments"])}}


_SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}


def _sharegpt_turns(turns: tuple[Message, ...]) -> list[Native]:
    return [_sharegpt_turn(turn) for turn in turns]


def _sharegpt_turn(turn: Message) -> Native:
    if turn.tool_calls and len(turn.tool_calls) == 1 and not turn.content:
        function = _parsed(turn.tool_calls[0])["function"]
        call = json.dumps(function, ensure_ascii=False)
        return {"from": "function_call", "value": call}
    if turn.tool_calls:
        raise Fault(
            "not-expressible",
            "ShareGPT holds one call in a turn, and no words beside it",
            "write it as trl, which holds several",
        )
    return {"from": _SPEAKERS[turn.role], "value": turn.content or ""}


def _given(**fields: Any) -> Native:
    return {key: held for key, held in fields.items() if held is not None}
