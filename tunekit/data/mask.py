"""Rows as token ids, with a label wherever the loss counts."""

from __future__ import annotations

import itertools
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tunekit.data.answers import Written, written
from tunekit.data.audit import audit
from tunekit.data.rows import (
    Completion,
    Conversation,
    Judged,
    Message,
    Preference,
    Row,
    Text,
    Where,
)
from tunekit.data.rows import Prompt as RowPrompt
from tunekit.data.template import Span, Writer, turn
from tunekit.data.tokens import IGNORED, Judgement, Pair, Prompt, Tokens
from tunekit.errors import SpecError

__all__ = [
    "IGNORED",
    "Judgement",
    "Pair",
    "Prompt",
    "Tokens",
    "audit",
    "prompt",
    "tokenize",
    "tokenize_all",
    "tokenize_judged",
    "tokenize_pair",
    "tokenize_prompt",
]

Turns = tuple[Message, ...]
Trainable = Conversation | Completion | Text

BATCH = 256
"""Chats that the tokenizer gets at a time."""


def tokenize(row: Trainable, tokenizer: Any, *, train_on: str, max_length: int | None) -> Tokens:
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
    return tokenize_all([row], tokenizer, train_on=train_on, max_length=max_length)[0]


def tokenize_all(
    rows: Iterable[Trainable], tokenizer: Any, *, train_on: str, max_length: int | None
) -> list[Tokens]:
    """Tokenise rows as `tokenize` does, many chats at a time and so on all cores."""
    rows, found = iter(rows), list[Tokens]()
    while some := list(itertools.islice(rows, BATCH)):
        chats = [row for row in some if isinstance(row, Conversation)]
        done = iter(_conversations(chats, tokenizer, train_on))
        for row in some:
            whole = next(done) if isinstance(row, Conversation) else _flat(row, tokenizer, train_on)
            found.append(_cut(whole, max_length))
    return found


def _conversations(rows: Sequence[Conversation], tokenizer: Any, train_on: str) -> Iterator[Tokens]:
    if rows and not tokenizer.is_fast:
        raise SpecError(
            "model: its tokenizer tells no character offsets, so the answers cannot be found; "
            "take a model that comes with a tokenizer.json"
        )
    texts = [written(row.messages, row.tools, tokenizer, where=row.where) for row in rows]
    encoded = _offsets(tokenizer, [text.text for text in texts])
    for row, text, (ids, offsets) in zip(rows, texts, encoded, strict=True):
        yield _labelled(row, text, ids, offsets, train_on)


def _labelled(
    row: Conversation, text: Written, ids: list[int], offsets: Sequence[Span], train_on: str
) -> Tokens:
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


def _flat(row: Completion | Text, tokenizer: Any, train_on: str) -> Tokens:
    if isinstance(row, Completion):
        return _completion(row, tokenizer, train_on)
    ids = _ids(tokenizer, _ended(row.text, tokenizer))
    return Tokens(ids, list(ids), where=row.where)


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
    prompt, (chosen, rejected) = _answered(
        row.prompt, (row.chosen, row.rejected), row.tools, tokenizer, where=row.where
    )
    start = min(_shared(prompt, chosen), _shared(prompt, rejected))
    longest = max(len(chosen), len(rejected))
    return Pair(
        prompt[:start][:max_length],
        chosen[:max_length][start:],
        rejected[:max_length][start:],
        complete=max_length is None or longest <= max_length,
        where=row.where,
    )


def tokenize_judged(row: Judged, tokenizer: Any, *, max_length: int | None) -> Judgement:
    """Give the ids of prompt and answer as `tokenize_pair` does.

    Raises:
        DataError: the chat template refuses the row.
        SpecError: the tokenizer has no chat template.
    """
    prompt, (whole,) = _answered(row.prompt, (row.completion,), None, tokenizer, where=row.where)
    start = _shared(prompt, whole)
    return Judgement(
        prompt[:start][:max_length],
        whole[:max_length][start:],
        row.label,
        complete=max_length is None or len(whole) <= max_length,
        where=row.where,
    )


def tokenize_prompt(row: RowPrompt, tokenizer: Any) -> list[int]:
    """Give the ids that an answer is to follow.

    Raises:
        DataError: the chat template refuses the row.
        SpecError: the tokenizer has no chat template.
    """
    return _answered(row.prompt, (), row.tools, tokenizer, where=row.where)[0]


def _answered(
    prompt: str | Turns,
    answers: Sequence[str | Turns],
    tools: list[dict[str, Any]] | None,
    tokenizer: Any,
    *,
    where: Where,
) -> tuple[list[int], list[list[int]]]:
    """Give the ids of the prompt, and of the prompt with each answer."""
    if isinstance(prompt, str):
        whole = [prompt + _ended(str(answer), tokenizer) for answer in answers]
        return _ids(tokenizer, prompt), [_ids(tokenizer, text) for text in whole]
    writer = Writer(tokenizer, tools, where)
    asked, *answered = (
        [turn(message) for message in (*prompt, *answer) if isinstance(message, Message)]
        for answer in ((), *answers)
    )
    texts = [writer.whole(asked, prompt=True)[1], *(writer.whole(turns)[1] for turns in answered)]
    prompt_ids, *answered_ids = (_ids(tokenizer, text, bare=True) for text in texts)
    return prompt_ids, answered_ids


def prompt(row: Row, tokenizer: Any) -> Prompt:
    """Give what to ask the model, and the answer to compare with.

    That is the last answer of a chat, the completion, the chosen answer, the `answer` of a row
    for reward functions, or the second half of a text.

    Raises:
        DataError: the chat template refuses the row.
        SpecError: the tokenizer has no chat template, or the row no answer.
    """
    if isinstance(row, Text):
        ids = _ids(tokenizer, row.text)
        half = max(1, len(ids) // 2)
        return Prompt(ids[:half], tokenizer.decode(ids[:half]), tokenizer.decode(ids[half:]))
    if isinstance(row, Conversation):
        return _last_answer(row.messages, row.tools, tokenizer, where=row.where)
    if isinstance(row, RowPrompt):
        return _asked(row, tokenizer)
    answer = row.chosen if isinstance(row, Preference) else row.completion
    if isinstance(row.prompt, str):
        return Prompt(_ids(tokenizer, row.prompt), row.prompt, str(answer))
    tools = row.tools if isinstance(row, Preference) else None
    messages = (*row.prompt, *(turn for turn in answer if isinstance(turn, Message)))
    return _last_answer(messages, tools, tokenizer, where=row.where)


def _asked(row: RowPrompt, tokenizer: Any) -> Prompt:
    answer = (row.fields or {}).get("answer")
    if not isinstance(answer, str):
        raise SpecError(f"{row.where}: a prompt without an answer has nothing to compare with")
    ids = tokenize_prompt(row, tokenizer)
    text = row.prompt if isinstance(row.prompt, str) else tokenizer.decode(ids)
    return Prompt(ids, text, answer)


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


def _offsets(tokenizer: Any, texts: list[str]) -> Iterator[tuple[list[int], list[Span]]]:
    """Give the ids of what a template wrote, and the characters that each stands for."""
    if not texts:
        return
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
        yield list(ids), _filled(offsets)


def _filled(offsets: Iterable[Span]) -> list[Span]:
    """Give tokens without characters those that the tokens before and after leave out.

    Byte-level tokenizers that trim offsets report a line break as nothing. The ends never go
    back, so that `_covered` can search.
    """
    filled: list[Span] = []
    reached = 0
    for start, end in offsets:
        begin = reached if start == end else start
        reached = max(reached, end)
        filled.append((begin, reached))
    return filled


def _covered(offsets: Sequence[Span], span: Span) -> Span:
    """Give the tokens, from and up to, that hold any character of a span."""
    first = bisect_right(offsets, span[0], key=lambda held: held[1])
    last = bisect_left(offsets, span[1], lo=first, key=lambda held: held[0])
    return (first, last) if first < last else (0, 0)
