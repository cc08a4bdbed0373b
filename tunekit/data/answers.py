"""Whose every part of a written chat is: the answers, and the words of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tunekit.data.issues import Issue, require
from tunekit.data.rows import Message, Where
from tunekit.data.template import CLOSE, OPEN, Span, Turn, Writer, special_tokens, turn


@dataclass(frozen=True)
class Written:
    """The text of a chat, the part of every assistant turn, and the parts that others wrote."""

    text: str
    answers: dict[int, list[Span]]
    """By the index of the message: what the model is to write, its end of turn included."""
    others: tuple[Span, ...]
    """What system, user and tools said, where it is found word for word."""


def written(
    messages: Sequence[Message], tools: list[dict[str, Any]] | None, tokenizer: Any, *, where: Where
) -> Written:
    """Write out a chat and find whose every part is.

    An answer is found by the template's own marks; else by what the text up to the answer and the
    text including it have in common with the whole; else by writing the chat once more with a
    stand-in for the answer.

    Raises:
        SpecError: the tokenizer has no chat template.
        DataError: the template refuses the chat.
    """
    writer = Writer(tokenizer, tools, where)
    turns, text = writer.whole([turn(message) for message in messages])
    finder = _Finder(writer, turns, text, special_tokens(tokenizer))
    stop = ""
    if writer.has_marks:
        answers = finder.marked(writer.marks(turns))
    else:
        answers = {index: [span] for index in finder.indices if (span := finder.find(index))}
        stop = finder.missing_stop(answers)
    if stop:
        ((start, end),) = answers[finder.indices[-1]]
        answers[finder.indices[-1]] = [(start, end + len(stop))]
    require([_lost(index, where) for index in finder.indices if finder.loses(index, answers)])
    return Written(text + stop, answers, _others(writer, turns, text))


def _lost(index: int, where: Where) -> Issue:
    return Issue(
        code="template-drops-answer",
        file=where.file,
        line=where.line,
        message=f"the model's chat template leaves out what messages[{index}] says or calls",
        fix="take a model whose template knows tool calls, or write the call into the content",
    )


@dataclass(frozen=True)
class _Finder:
    """Finds the answers in the text of a chat."""

    writer: Writer
    turns: list[Turn]
    text: str
    specials: tuple[str, ...]

    @property
    def indices(self) -> list[int]:
        """The turns of the assistant."""
        return [i for i, given in enumerate(self.turns) if given["role"] == "assistant"]

    def marked(self, marks: list[Span]) -> dict[int, list[Span]]:
        """Give every mark to the last answer that begins before the mark ends.

        A template may mark several parts of one answer.
        """
        cores = {index: self._core(self.turns, self.text, index) for index in self.indices}
        begins = {index: core[0] for index, core in cores.items() if core is not None}
        answers: dict[int, list[Span]] = {}
        for start, end in marks:
            own = [index for index, begin in begins.items() if begin < end]
            if start < end and (own or begins):
                answers.setdefault(own[-1] if own else min(begins), []).append((start, end))
        return answers

    def find(self, index: int) -> Span | None:
        """Give the span of one answer, or None when the template leaves it out."""
        before = self._attempt(self.turns[:index], prompt=True)
        is_last = index + 1 == len(self.turns)
        upto = self.text if is_last else self._attempt(self.turns[: index + 1])
        start = len(before) if before and self.text.startswith(before) else 0
        end = len(upto) if upto and self.text.startswith(upto) else 0
        if 0 < start < end:
            return start, end + len(self._unended(index, end))
        core = self._core(self.turns, self.text, index)
        if core is None:
            return None
        if not 0 < start <= core[1]:
            start = min(core[0], self._parting(index, before) or core[0])
        if end > core[0]:
            return start, end + len(self._unended(index, end))
        return start, self._end(index, core[1], upto)

    def _attempt(self, turns: list[Turn], *, prompt: bool = False) -> str:
        return (self.writer.attempt(turns, prompt=prompt) or "") if turns else ""

    def _parting(self, index: int, before: str) -> int:
        """Give where the text leaves the prompt, if that is within what the prompt adds.

        Some templates open `<think>` for the model and write `<think></think>` in a chat.
        """
        asked = self._attempt(self.turns[:index])
        parting = _common(self.text, before)
        return parting if asked and parting >= len(asked) and before.startswith(asked) else 0

    def _core(self, turns: list[Turn], text: str, index: int) -> Span | None:
        """Give what changes in the text when a stand-in takes the place of the answer."""
        other = self.writer.attempt(_stand_in(turns, index))
        if other is None or other == text:
            return None
        start = _common(text, other)
        end = len(text) - _common(text[start:][::-1], other[start:][::-1])
        return start, end

    def _end(self, index: int, core_end: int, upto: str) -> int:
        """Extend an answer over its end of turn.

        That is what follows it both in the middle of the chat and where the chat ends with it;
        where these differ, the first special token.
        """
        rest = self.text[core_end:]
        last = self._core(self.turns[: index + 1], upto, index) if upto else None
        tail = rest[: _common(rest, upto[last[1] :])] if last is not None else ""
        tail = self._uncut(rest, tail)
        if any(token in tail for token in self.specials):
            return core_end + len(tail)
        return core_end + (len(self._first_special(rest)) or len(tail))

    def _uncut(self, rest: str, tail: str) -> str:
        """Leave out a special token of which the tail holds only the beginning."""
        for token in self.specials:
            at = rest.rfind(token, 0, len(tail) + len(token))
            if at != -1 and at < len(tail) < at + len(token):
                tail = tail[:at]
        return tail

    def _first_special(self, rest: str) -> str:
        """Give the blanks and the special token that a text begins with."""
        blank = len(rest) - len(rest.lstrip())
        token = next((token for token in self.specials if rest.startswith(token, blank)), "")
        return rest[: blank + len(token)] if token else ""

    def _unended(self, index: int, end: int) -> str:
        """Give what ends an answer whose own part of the text holds no special token.

        In GLM it is the header of the next turn.
        """
        return "" if self._is_ended(index, end) else self._first_special(self.text[end:])

    def _is_ended(self, index: int, end: int) -> bool:
        if self.text[:end].rstrip().endswith(self.specials):
            return True
        core = self._core(self.turns, self.text, index)
        return core is None or any(token in self.text[core[1] : end] for token in self.specials)

    def loses(self, index: int, answers: dict[int, list[Span]]) -> bool:
        """Say whether the template drops the words or the calls of an answer."""
        said = "".join(self.text[start:end] for start, end in answers.get(index, []))
        calls = self.turns[index].get("tool_calls", ())
        if any(call["function"]["name"] not in said for call in calls):
            return True
        content = self.turns[index]["content"].strip()
        if content in said:
            return False
        for token in self.specials:
            said = said.replace(token, "")
        return not said.strip()

    def missing_stop(self, answers: dict[int, list[Span]]) -> str:
        """Give the token to append when nothing ends the last answer.

        GLM has none: there the header of the next turn stops the model. Where that is no
        special token either, it is the tokenizer's end of sequence.
        """
        last = len(self.turns) - 1
        if last not in answers or self._is_ended(last, len(self.text)):
            return ""
        role = "tool" if self.turns[last].get("tool_calls") else "user"
        marked = _stand_in(self.turns, last)
        short = self._attempt(marked)
        more = self._attempt([*marked, {"role": role, "content": OPEN + CLOSE}])
        header = more[len(short) :] if more.startswith(short) else ""
        return self._first_special(header) or str(self.writer.tokenizer.eos_token or "")


def _stand_in(turns: list[Turn], index: int) -> list[Turn]:
    """Put a mark in the place of one turn's content, calls and reasoning."""
    mark = {"role": turns[index]["role"], "content": f"{OPEN}{index}{CLOSE}"}
    return [*turns[:index], mark, *turns[index + 1 :]]


def _common(one: str, other: str) -> int:
    """Count the characters that both texts begin with."""
    if other.startswith(one):
        return len(one)
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one.startswith(other[:middle]):
            low = middle
        else:
            high = middle - 1
    return low


_TRIMS: tuple[Callable[[str], str], ...] = (str, str.strip, str.rstrip, str.lstrip)


def _others(writer: Writer, turns: list[Turn], text: str) -> tuple[Span, ...]:
    """Find the words of all turns but the assistant's, where the template keeps them whole.

    The chat is written with stand-ins for them; what stands between the stand-ins must then stand
    between their words too. Where it does not, nothing is claimed.
    """
    said = [index for index, given in enumerate(turns) if given["role"] != "assistant"]
    marked = turns
    for index in said:
        marked = _stand_in_content(marked, index)
    form = writer.attempt(marked) or ""
    found: list[Span] = []
    at, read = 0, 0
    for index in said:
        mark = f"{OPEN}{index}{CLOSE}"
        place = form.find(mark, read)
        if place < 0:
            continue
        between = form[read:place]
        if not text.startswith(between, at):
            return ()
        read, at = place + len(mark), at + len(between)
        size = _length(text, at, turns[index]["content"], _next_literal(form, read))
        if size is None:
            return ()
        found += [(at, at + size)] if size else []
        at += size
    return tuple(found)


def _stand_in_content(turns: list[Turn], index: int) -> list[Turn]:
    """Put a mark in the place of one turn's content alone."""
    marked = {**turns[index], "content": f"{OPEN}{index}{CLOSE}"}
    return [*turns[:index], marked, *turns[index + 1 :]]


def _next_literal(form: str, read: int) -> str:
    end = form.find(OPEN, read)
    return form[read : end if end >= 0 else len(form)]


def _length(text: str, at: int, content: str, literal: str) -> int | None:
    """Give how many characters the template made of a content that `literal` follows."""
    for trim in _TRIMS:
        kept = trim(content)
        if text.startswith(kept + literal, at):
            return len(kept)
    return None
