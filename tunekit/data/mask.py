"""Rows as token ids, with a label wherever the loss counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tunekit.data.answers import Written, written
from tunekit.data.audit import audit
from tunekit.data.rows import Completion, Conversation, Message, Preference, Row, Text, Where
from tunekit.data.rows import Prompt as RowPrompt
from tunekit.data.template import Span, Writer, turn
from tunekit.data.tokens import IGNORED, Pair, Prompt, Tokens
from tunekit.errors import SpecError

__all__ = ["IGNORED", "Pair", "Prompt", "Tokens", "audit", "prompt", "tokenize", "tokenize_pair"]

Turns = tuple[Message, ...]


def tokenize(
    row: Conversation | Completion | Text, tokenizer: Any, *, train_on: str, max_length: int | None
) -> Tokens:
    """Give ids and labels of a row; of a row that is too long, the start.

    Args:
        row: what to train on.
        tokenizer: a fast tokenizer of transformers.
        train_on: "assistant" (every answer of weight 1), "completion" (the last answer) or "all".
        max_length: most tokens, or None.

    Raises:
        DataError: the chat template refuses the row.
        SpecError: the tokenizer has no chat template, or gives no offsets.
    """
    if isinstance(row, Conversation):
        whole = _conversation(row, tokenizer, train_on)
    elif isinstance(row, Completion):
        whole = _completion(row, tokenizer, train_on)
    else:
        ids = _ids(tokenizer, _ended(row.text, tokenizer))
        whole = Tokens(ids, list(ids), where=row.where)
    return _cut(whole, max_length)


def _conversation(row: Conversation, tokenizer: Any, train_on: str) -> Tokens:
    if not tokenizer.is_fast:
        raise SpecError(
            "model: its tokenizer tells no character offsets, so the answers cannot be found; "
            "take a model that comes with a tokenizer.json"
        )
    text = written(row.messages, row.tools, tokenizer, where=row.where)
    ids, offsets = _offsets(tokenizer, text.text)
    others = tuple(_covered(offsets, span) for span in text.others)
    if train_on == "all":
        return Tokens(ids, list(ids), others=others, where=row.where)
    labels = [IGNORED] * len(ids)
    for span in _trained(row.messages, text, train_on):
        start, end = _covered(offsets, span)
        labels[start:end] = ids[start:end]
    return Tokens(ids, labels, others=others, where=row.where)


def _trained(messages: Turns, text: Written, train_on: str) -> list[Span]:
    counted = [spans for index, spans in text.answers.items() if messages[index].weight != 0]
    return [span for spans in counted[-1 if train_on == "completion" else 0 :] for span in spans]


def _completion(row: Completion, tokenizer: Any, train_on: str) -> Tokens:
    prompt = _ids(tokenizer, row.prompt)
    ids = _ids(tokenizer, row.prompt + _ended(row.completion, tokenizer))
    shared = 0 if train_on == "all" else _shared(prompt, ids)
    labels = [IGNORED] * shared + ids[shared:]
    return Tokens(ids, labels, where=row.where)


def _cut(tokens: Tokens, max_length: int | None) -> Tokens:
    if max_length is None or len(tokens.input_ids) <= max_length:
        return tokens
    others = tuple((a, min(b, max_length)) for a, b in tokens.others if a < max_length)
    ids, labels = tokens.input_ids[:max_length], tokens.labels[:max_length]
    return Tokens(ids, labels, complete=False, others=others, where=tokens.where)


def tokenize_pair(row: Preference, tokenizer: Any, *, max_length: int | None) -> Pair:
    """Give the ids of prompt and answers; of a pair that is too long, the start.

    The answers begin where the ids of the prompt and those of prompt and answer part.

    Raises:
        DataError: the chat template refuses the row.
        SpecError: the tokenizer has no chat template.
    """
    prompt, chosen, rejected = _pair(row, tokenizer)
    start = min(_shared(prompt, chosen), _shared(prompt, rejected))
    longest = max(len(chosen), len(rejected))
    return Pair(
        prompt[:start][:max_length],
        chosen[:max_length][start:],
        rejected[:max_length][start:],
        complete=max_length is None or longest <= max_length,
        where=row.where,
    )


def _pair(row: Preference, tokenizer: Any) -> tuple[list[int], list[int], list[int]]:
    """Give the ids of the prompt, and of the prompt with each answer."""
    if isinstance(row.prompt, str):
        prompt = row.prompt
        chosen = prompt + _ended(str(row.chosen), tokenizer)
        rejected = prompt + _ended(str(row.rejected), tokenizer)
        return _ids(tokenizer, prompt), _ids(tokenizer, chosen), _ids(tokenizer, rejected)
    writer = Writer(tokenizer, row.tools, row.where)
    asked, *answered = (
        [turn(message) for message in (*row.prompt, *answer) if isinstance(message, Message)]
        for answer in ((), row.chosen, row.rejected)
    )
    texts = [writer.whole(asked, prompt=True)[1], *(writer.whole(turns)[1] for turns in answered)]
    prompt_ids, chosen_ids, rejected_ids = (_ids(tokenizer, text, bare=True) for text in texts)
    return prompt_ids, chosen_ids, rejected_ids


def prompt(row: Row, tokenizer: Any) -> Prompt:
    """Give what to ask the model, and the answer to compare with.

    That is the last answer of a chat, the completion, the chosen answer, or the second half of a
    text.

    Raises:
        DataError: the chat template refuses the row.
        SpecError: the tokenizer has no chat template.
    """
    if isinstance(row, Text):
        ids = _ids(tokenizer, row.text)
        half = max(1, len(ids) // 2)
        return Prompt(ids[:half], tokenizer.decode(ids[:half]), tokenizer.decode(ids[half:]))
    if isinstance(row, Conversation):
        return _last_answer(row.messages, row.tools, tokenizer, where=row.where)
    if isinstance(row, RowPrompt):
        raise SpecError("rows of prompts alone have no answer to compare with")
    answer = row.chosen if isinstance(row, Preference) else row.completion
    if isinstance(row.prompt, str):
        return Prompt(_ids(tokenizer, row.prompt), row.prompt, str(answer))
    tools = row.tools if isinstance(row, Preference) else None
    messages = (*row.prompt, *(turn for turn in answer if isinstance(turn, Message)))
    return _last_answer(messages, tools, tokenizer, where=row.where)


def _last_answer(
    messages: Turns, tools: list[dict[str, Any]] | None, tokenizer: Any, *, where: Where
) -> Prompt:
    last = max(index for index, message in enumerate(messages) if message.role == "assistant")
    writer = Writer(tokenizer, tools, where)
    asked = [turn(message) for message in messages[:last]]
    text = writer.attempt(asked, prompt=True) if asked else None
    if text is None:
        # A chat that the assistant opens: what the template writes before its first word.
        whole = written(messages, tools, tokenizer, where=where)
        text = whole.text[: whole.answers[last][0][0]] if last in whole.answers else whole.text
    ids = _ids(tokenizer, text, bare=True)
    return Prompt(ids, text, _said(messages[last]))


def _said(message: Message) -> str:
    if isinstance(message.content, str) and message.content:
        return message.content
    return json.dumps(message.tool_calls or [], ensure_ascii=False)


def _ended(text: str, tokenizer: Any) -> str:
    end = tokenizer.eos_token or ""
    return text if text.endswith(end) else text + end


def _ids(tokenizer: Any, text: str, *, bare: bool = False) -> list[int]:
    """Give the ids of a text; `bare` for what a chat template wrote, special tokens and all."""
    return list(tokenizer(text, add_special_tokens=not bare)["input_ids"])


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Count the ids that both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _offsets(tokenizer: Any, text: str) -> tuple[list[int], list[Span]]:
    """Give the ids of what a template wrote, and the characters that each stands for."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return list(encoded["input_ids"]), _filled(encoded["offset_mapping"])


def _filled(offsets: Iterable[Span]) -> list[Span]:
    """Give tokens without characters those that the tokens before and after leave out.

    Byte-level tokenizers that trim offsets report a line break as nothing.
    """
    filled: list[Span] = []
    reached = 0
    for start, end in offsets:
        filled.append((reached if start == end else start, end))
        reached = max(reached, end)
    return filled


def _covered(offsets: Sequence[Span], span: Span) -> Span:
    """Give the tokens, from and up to, that hold any character of a span."""
    start, end = span
    held = [index for index, (a, b) in enumerate(offsets) if a < end and b > start]
    return (held[0], held[-1] + 1) if held else (0, 0)
