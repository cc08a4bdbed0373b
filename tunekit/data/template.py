"""The tokenizer's chat template: writing chats with it, and the tokens that give them structure."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tunekit.data.issues import Issue, require
from tunekit.data.rows import Message, Where
from tunekit.errors import SpecError

Span = tuple[int, int]
"""Characters from, up to."""
Turn = dict[str, Any]

_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")
OPEN, CLOSE = "\ue0f0", "\ue0f1"
"""Private-use characters around a stand-in, so that no text begins or ends like one."""


def turn(message: Message) -> Turn:
    """Give a message the way templates read it: arguments of calls as objects, no nulls."""
    given = message.model_dump(exclude_none=True, exclude={"weight", "reasoning"})
    if message.reasoning is not None:
        # gpt-oss templates read `thinking`, all others `reasoning_content`.
        given |= {"reasoning_content": message.reasoning, "thinking": message.reasoning}
    if message.tool_calls:
        given["tool_calls"] = [_call(call) for call in message.tool_calls]
        given.setdefault("content", "")
    return given


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {**call, "function": {**function, "arguments": json.loads(function["arguments"])}}


@dataclass(frozen=True)
class Writer:
    """Writes chats with one tokenizer's template, for one set of tools."""

    tokenizer: Any
    tools: list[dict[str, Any]] | None
    where: Where

    def write(self, turns: Sequence[Turn], *, prompt: bool = False) -> str:
        """Give the text of the turns; `prompt` adds the beginning of the next answer."""
        text: str = self.tokenizer.apply_chat_template(
            self._shaped(turns), tools=self.tools, tokenize=False, add_generation_prompt=prompt
        )
        return text

    def _shaped(self, turns: Sequence[Turn]) -> list[Turn]:
        """Give contents as lists of parts to templates that read nothing else."""
        if not _wants_parts(self.tokenizer, str(self.tokenizer.chat_template)):
            return list(turns)
        return [{**given, "content": _parts(given.get("content"))} for given in turns]

    def attempt(self, turns: Sequence[Turn], *, prompt: bool = False) -> str | None:
        """Give the text, or None where the template refuses these turns."""
        try:
            return self.write(turns, prompt=prompt)
        except Exception:
            # Templates raise of their own accord, and break on turns they do not expect.
            return None

    def whole(self, turns: list[Turn], *, prompt: bool = False) -> tuple[list[Turn], str]:
        """Give the turns as the template takes them, and their text.

        Some templates take the arguments of calls as text only.

        Raises:
            DataError: the template refuses the turns.
            SpecError: the tokenizer has no chat template.
        """
        if not self.tokenizer.chat_template:
            raise SpecError(
                "model: its tokenizer has no chat template, and the rows are chats: "
                "take the instruct version of the model, or prompt/completion rows"
            )
        try:
            return turns, self.write(turns, prompt=prompt)
        except Exception as error:
            plain = [_as_text(given) for given in turns]
            text = self.attempt(plain, prompt=prompt) if plain != turns else None
            if text is None:
                require([_refused(self.where, error)])
            return plain, text or ""

    def marks(self, turns: Sequence[Turn]) -> list[Span]:
        """Give what lies between the template's `{% generation %}` marks."""
        from transformers.utils import chat_template_utils

        module: Any = chat_template_utils
        _, marks = module.render_jinja_template(
            conversations=[self._shaped(turns)],
            tools=self.tools,
            chat_template=self.tokenizer.get_chat_template(None, self.tools),
            return_assistant_tokens_mask=True,
            add_generation_prompt=False,
            **self.tokenizer.special_tokens_map,
        )
        return [(int(start), int(end)) for start, end in marks[0]]

    @property
    def has_marks(self) -> bool:
        """Say whether the template marks what the model writes."""
        return _MARK.search(self.tokenizer.get_chat_template(None, self.tools)) is not None


def special_tokens(tokenizer: Any) -> tuple[str, ...]:
    """Give the tokens that structure a text, the longest first."""
    return _special_tokens(tokenizer, len(tokenizer))


@functools.lru_cache(maxsize=8)
def _special_tokens(tokenizer: Any, size: int) -> tuple[str, ...]:
    # The size is part of the key because tokens can be added later.
    added = (str(t) for t in tokenizer.added_tokens_decoder.values() if t.special)
    return tuple(sorted({*added, *tokenizer.all_special_tokens}, key=len, reverse=True))


@functools.lru_cache(maxsize=8)
def _wants_parts(tokenizer: Any, template: str) -> bool:
    """Say whether a template loses contents that are plain text (those of models that see)."""
    return not _keeps(tokenizer, OPEN) and _keeps(tokenizer, _parts(OPEN))


def _keeps(tokenizer: Any, content: Any) -> bool:
    chat = [{"role": "user", "content": content}]
    try:
        return OPEN in tokenizer.apply_chat_template(chat, tokenize=False)
    except Exception:
        # As in `Writer.attempt`.
        return False


def _parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def stops(tokenizer: Any) -> frozenset[int]:
    """Give the ids that end an answer: the end of sequence, and the template's end of turn."""
    tokens = {tokenizer.eos_token, *_template_stops(tokenizer)} - {None, ""}
    return frozenset(tokenizer.convert_tokens_to_ids(sorted(tokens)))


def _template_stops(tokenizer: Any) -> Iterator[str]:
    """Write small chats, and give the special token that follows each answer."""
    if not tokenizer.chat_template:
        return
    writer = Writer(tokenizer, None, Where(file="", line=0))
    ask, say = _said("user", f"{OPEN}1{CLOSE}"), _said("assistant", f"{OPEN}2{CLOSE}")
    function: Turn = {"name": f"{OPEN}2{CLOSE}", "arguments": {}}
    calls = [{"type": "function", "function": function}]
    call: Turn = {**_said("assistant", ""), "tool_calls": calls}
    result: Turn = {**_said("tool", f"{OPEN}3{CLOSE}"), "name": function["name"]}
    specials = re.compile("|".join(map(re.escape, special_tokens(tokenizer))))
    for turns in ([ask, say], [ask, say, ask], [ask, call], [ask, call, result]):
        text = writer.attempt(turns) or ""
        first = specials.search(text, text.find(f"{OPEN}2") + 1) if f"{OPEN}2" in text else None
        if first is not None:
            yield first.group()


def _said(role: str, content: str) -> Turn:
    return {"role": role, "content": content}


def _as_text(given: Turn) -> Turn:
    if "tool_calls" not in given:
        return given
    calls = [
        {
            **call,
            "function": {
                **call["function"],
                "arguments": json.dumps(call["function"]["arguments"], ensure_ascii=False),
            },
        }
        for call in given["tool_calls"]
    ]
    return {**given, "tool_calls": calls}


def _refused(where: Where, error: Exception) -> Issue:
    first = str(error).strip().partition("\n")[0]
    return Issue(
        code="template-refused",
        file=where.file,
        line=where.line,
        message=f"the model's chat template does not take this row: {first}",
        fix="change the turns (many templates want user and assistant in turn, and some know no "
        "system turn or no tools), or take another model",
    )
