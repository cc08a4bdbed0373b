"""The kinds of rows that training takes; everything read becomes one of these."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

RowKind = Literal["conversation", "completion", "text", "preference", "judged", "prompt"]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def json_line(self) -> str:
        """Write the row as one line of JSON, keys in a fixed order, nulls left out."""
        return json.dumps(
            self.model_dump(mode="json", exclude_none=True, exclude={"where"}),
            ensure_ascii=False,
            separators=(",", ":"),
        )

    def digest(self) -> str:
        """Hash the content, whatever file or line it came from (sha256, hex)."""
        return hashlib.sha256(self.json_line().encode()).hexdigest()


class Where(BaseModel):
    """The place a row came from."""

    model_config = ConfigDict(frozen=True)

    file: str
    line: int
    """Line in a text file, row number in a table or in memory; from 1."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Message(BaseModel):
    """One turn, in OpenAI's shape, with `reasoning` beside `content`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    weight: float | None = None
    """0 keeps an assistant turn as context without training on it."""


class Conversation(_Row):
    """Turns of a chat; the assistant's are trained on."""

    kind: Literal["conversation"] = "conversation"
    messages: Annotated[tuple[Message, ...], Field(min_length=1)]
    tools: list[dict[str, Any]] | None = None
    parallel_tool_calls: bool | None = None
    """Whether one turn may call several tools (OpenAI)."""
    weight: float | None = None
    """How much the whole row counts (Together, Fireworks); None is 1."""
    where: Where


class Completion(_Row):
    """A prompt and its answer, as plain text without a chat template."""

    kind: Literal["completion"] = "completion"
    prompt: str
    completion: str
    weight: float | None = None
    where: Where


class Text(_Row):
    """Plain text; every token is trained on."""

    kind: Literal["text"] = "text"
    text: str
    weight: float | None = None
    where: Where


class Preference(_Row):
    """One prompt with a better and a worse answer; text, or turns of a chat."""

    kind: Literal["preference"] = "preference"
    prompt: str | tuple[Message, ...]
    chosen: str | tuple[Message, ...]
    rejected: str | tuple[Message, ...]
    tools: list[dict[str, Any]] | None = None
    parallel_tool_calls: bool | None = None
    weight: float | None = None
    where: Where


class Judged(_Row):
    """One prompt and answer with a verdict: wanted or not (KTO)."""

    kind: Literal["judged"] = "judged"
    prompt: str | tuple[Message, ...]
    completion: str | tuple[Message, ...]
    label: bool
    where: Where


class Prompt(_Row):
    """A prompt without an answer; the other columns are for whoever judges one."""

    kind: Literal["prompt"] = "prompt"
    prompt: str | tuple[Message, ...]
    tools: list[dict[str, Any]] | None = None
    fields: dict[str, Any] | None = None
    where: Where


Row = Annotated[
    Conversation | Completion | Text | Preference | Judged | Prompt, Field(discriminator="kind")
]


def said_weight(row: Row) -> float | None:
    """Give how much a row counts, where it says so."""
    return None if isinstance(row, (Judged, Prompt)) else row.weight


def weight(row: Row) -> float:
    """Give how much a row counts; 1 where it does not say so."""
    said = said_weight(row)
    return 1.0 if said is None else said
