"""Which format the rows are in, and the rows themselves in ours."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import ValidationError

from tunekit.data import chat, messages, pairs, preferences
from tunekit.data.issues import Fault, Found, Issue
from tunekit.data.json_text import as_list, as_object
from tunekit.data.rows import Conversation, Judged, Preference, Row, RowKind, Where
from tunekit.data.words import texts

Raw = Mapping[str, Any]

FORMATS: Mapping[str, str] = {
    "conversation": "messages",
    "sharegpt": "conversations",
    "alpaca": "instruction, output",
    "completion": "prompt, completion",
    "text": "text",
    "preference": "prompt, chosen, rejected, or input, preferred_output, non_preferred_output",
    "judged": "prompt, completion, label, or messages, label",
    "ultrafeedback": "instruction, completions",
    "segments": "segments",
    "prompt": "prompt",
}
"""Every format, and the keys it is known by."""

_READERS: Mapping[str, Callable[[Raw, Where], Row]] = {
    "conversation": chat.conversation,
    "sharegpt": chat.sharegpt,
    "alpaca": chat.alpaca,
    "completion": pairs.completion,
    "text": pairs.text,
    "preference": preferences.preference,
    "judged": pairs.judged,
    "ultrafeedback": preferences.ultrafeedback,
    "segments": pairs.segments,
    "prompt": pairs.prompt,
}

_PAIR = {"chosen", "rejected"}
_RESPONSES = {"chosen_response", "rejected_response"}
_OPENAI_PAIR = {"input", "preferred_output", "non_preferred_output"}

_READ: Mapping[str, frozenset[str]] = {
    "conversation": frozenset({"messages", "tools", "parallel_tool_calls", "weight"}),
    "sharegpt": frozenset({"conversations", "system", "tools", *_PAIR, *pairs.VERDICTS}),
    "alpaca": frozenset(
        {"instruction", "input", "output", "system", "history", "tools", *_PAIR, *pairs.VERDICTS}
    ),
    "completion": frozenset({"prompt", "completion", "tools", "weight"}),
    "text": frozenset({"text", "weight"}),
    "preference": frozenset(
        {
            *("messages", "system", "tools", "parallel_tool_calls", "weight"),
            *(*preferences.ASKED, *_PAIR, *_RESPONSES, *_OPENAI_PAIR),
        }
    ),
    "judged": frozenset({"prompt", "completion", "messages", *pairs.VERDICTS}),
    "ultrafeedback": frozenset({"instruction", "completions"}),
    "segments": frozenset({"segments"}),
    "prompt": frozenset({"prompt", "tools"}),
}
"""The keys that a format reads; others are named in a warning."""

_RENAME = {
    "question": "prompt",
    "query": "prompt",
    "response": "completion",
    "answer": "completion",
    "reply": "completion",
    "target": "completion",
    "content": "text",
    "conversation": "conversations",
    "dialog": "messages",
    "dialogue": "messages",
    "turns": "messages",
    "accepted": "chosen",
    "preferred": "chosen",
    "refused": "rejected",
}


@dataclass
class Recognised:
    """The rows, and what was found on the way."""

    format: str = ""
    rows: list[Row] = field(default_factory=list[Row])
    shapes: dict[str, Where] = field(default_factory=dict[str, Where])
    """Every shape of row with the first place it was met."""
    ignored: dict[str, Where] = field(default_factory=dict[str, Where])
    """Keys that were not read, with the first place they were met."""


def recognise(
    raws: Iterable[tuple[Raw, Where]],
    issues: list[Issue],
    *,
    wanted: str = "auto",
    into: Recognised | None = None,
    prompts: bool = False,
) -> Recognised:
    """Turn raw rows into rows; what is wrong goes to `issues`.

    All rows must be of one format. A `wanted` other than "auto" is taken without looking. With
    `prompts`, a row with a prompt that is in no format is a prompt with columns of its own.
    """
    found = Recognised() if into is None else into
    found.rows.extend(stream(raws, issues, wanted=wanted, into=found, prompts=prompts))
    return found


def stream(
    raws: Iterable[tuple[Raw, Where]],
    issues: list[Issue],
    *,
    wanted: str,
    into: Recognised,
    prompts: bool = False,
) -> Iterator[Row]:
    """Give the rows one by one, for data that does not fit into memory; see `recognise`."""
    strange: set[tuple[str, ...]] = set()
    drop = issues.drop if isinstance(issues, Found) else frozenset[str]()
    for raw, where in raws:
        given = {key: held for key, held in raw.items() if held is not None}
        formats = [wanted] if wanted != "auto" else candidates(given)
        if not formats and prompts and "prompt" in given:
            formats = ["prompt"]
        if len(formats) == 1:
            row = _row(into, formats[0], given, where, issues)
            if row is not None:
                yield row
        else:
            keys = tuple(sorted(given))
            fault = _unclear(keys, formats)
            # Once is enough to tell of them, and not to count those that are dropped.
            if keys not in strange or fault.code in drop:
                issues.append(fault.at(where.file, where.line))
            strange.add(keys)
    if len(into.shapes) > 1:
        issues.append(_mixed(into.shapes))
    for issue in _ignored(into):
        issues.append(issue)


def candidates(row: Raw) -> Sequence[str]:
    """Name the formats that a row may be in, from its keys."""
    judged = any(key in row and pairs.is_verdict(row[key]) for key in pairs.VERDICTS)
    prompting = "messages" in row and "chosen" in row and _is_of_a_pair(row)
    return _candidates(frozenset(row), judged, prompting)


@functools.lru_cache(maxsize=256)
def _candidates(keys: frozenset[str], judged: bool, prompting: bool) -> Sequence[str]:
    found: list[str] = []
    paired = keys >= _PAIR
    if "conversations" in keys:
        found.append("sharegpt")
    if "instruction" in keys and ("output" in keys or paired):
        found.append("alpaca")
    if keys >= {"instruction", "completions"}:
        found.append("ultrafeedback")
    if "segments" in keys:
        found.append("segments")
    if "messages" in keys and not (paired and prompting):
        found.append("judged" if judged else "conversation")
    if keys >= {"prompt", "completion"}:
        found.append("judged" if judged else "completion")
    pair = paired or keys >= _RESPONSES
    if (pair and not {"sharegpt", "alpaca"} & set(found)) or keys >= _OPENAI_PAIR:
        found.append("preference")
    if "text" in keys:
        found.append("text")
    if "prompt" in keys and keys <= _READ["prompt"]:
        found.append("prompt")
    return tuple(dict.fromkeys(found))


def _is_of_a_pair(row: Raw) -> bool:
    """Say whether `messages` are the prompt of a pair, or its chosen chat once more."""
    return isinstance(row["chosen"], Mapping) or row["messages"] == row["chosen"]


def _row(found: Recognised, format: str, raw: Raw, where: Where, issues: list[Issue]) -> Row | None:
    try:
        row = _read(format, raw, where)
    except Fault as fault:
        issues.append(fault.at(where.file, where.line))
        return None
    found.format = found.format or format
    found.shapes.setdefault(_shape(format, row), where)
    for key in _unread(format, raw):
        found.ignored.setdefault(key, where)
    return row


def _read(format: str, row: Raw, where: Where) -> Row:
    try:
        read = _READERS[format](row, where)
        # What cannot be written as UTF-8 shows here; chats of words alone the quick way.
        (read.json_line() if _is_loose(read) else "".join(texts(read))).encode()
    except KeyError:
        raise Fault(
            "missing-key",
            f"the row has the keys {_listed(row)}; {format} needs {FORMATS[format]}",
            'leave data.format at "auto", or rename the keys',
        ) from None
    except (ValidationError, UnicodeEncodeError, TypeError, ValueError) as error:
        raise _unwritable(error) from None
    return read


def _is_loose(row: Row) -> bool:
    """Say whether a row may hold more text than what its turns say."""
    if not isinstance(row, Conversation) or row.tools is not None:
        return True
    return any(turn.tool_calls or turn.name or turn.tool_call_id for turn in row.messages)


def _unwritable(error: Exception) -> Fault:
    """Explain values that cannot be written as JSON text."""
    surrogate = isinstance(error, UnicodeEncodeError) or "string_unicode" in str(error)
    if surrogate:
        return Fault(
            "lone-surrogate",
            "a text holds half of a character (\\ud800 to \\udfff without its pair)",
            "write the text again from its source; the row was cut inside an emoji",
        )
    first = str(error).partition("\n")[0]
    return Fault("wrong-type", f"the row cannot be written as JSON: {first}", "use plain values")


def _shape(format: str, row: Row) -> str:
    """Name what must not change from row to row."""
    chat_like = isinstance(row, Conversation) or (
        isinstance(row, (Preference, Judged)) and not isinstance(row.prompt, str)
    )
    named = "" if row.kind == format else f", read as {row.kind}"
    return f"{format}{named} ({'turns' if chat_like else 'text'})"


def _unread(format: str, row: Raw) -> list[str]:
    if format == "prompt":
        return []  # every other column is kept
    rest = row.keys() - _READ[format]
    if format == "preference" and "prompt" in row:
        rest |= row.keys() & {*preferences.ASKED[1:]}
    # `kind` is what our own files say of a row (`Row.json_line`).
    if rest and row.get("kind") in get_args(RowKind):
        rest -= {"kind"}
    return [*(name for name in row if name in rest), *_inner(format, row)]


def _inner(format: str, row: Raw) -> list[str]:
    """Name the keys of turns that are not read."""
    key = "conversations" if format == "sharegpt" else "messages"
    turns = row.get(key) if key in _READ[format] else None
    if turns is None or messages.is_plain(turns):
        return []
    found = {
        f"{key}[].{name}"
        for turn in as_list(turns) or ()
        for name, held in (as_object(turn) or {}).items()
        if held is not None and name not in messages.KEYS
    }
    return sorted(found)


def _listed(row: Iterable[str]) -> str:
    return ", ".join(map(str, row)) or "(none)"


def _unclear(keys: tuple[str, ...], formats: Sequence[str]) -> Fault:
    if formats:
        listed = " and ".join(f"{name} ({FORMATS[name]})" for name in formats)
        return Fault(
            "ambiguous-format",
            f"a row with the keys {_listed(keys)} can be read as {listed}",
            f"say which: data: {{source: ..., format: {formats[0]}}}",
        )
    known = "; ".join(f"{name} ({known})" for name, known in FORMATS.items())
    renames = [f"{key!r} to {new!r}" for key in keys if (new := _renamed(key, keys))]
    rename = f"rename {' and '.join(renames)}; " if renames else ""
    return Fault(
        "unknown-format",
        f"a row with the keys {_listed(keys)} is in no format that is known",
        f"{rename}known are {known}",
    )


def _renamed(key: str, keys: tuple[str, ...]) -> str:
    every = sorted({name for read in _READ.values() for name in read})
    if key in every and key not in _RENAME:
        return ""
    new = _RENAME.get(key) or next(iter(difflib.get_close_matches(key, every, n=1, cutoff=0.8)), "")
    return "" if new in keys else new


def _mixed(shapes: Mapping[str, Where]) -> Issue:
    (first, here), (second, there), *_ = shapes.items()
    return Issue(
        code="mixed-formats",
        file=there.file,
        line=there.line,
        message=f"this row is {second}, but {here} is {first}",
        fix="one dataset is one format: put the rows into two files, or convert one kind",
    )


def _ignored(found: Recognised) -> list[Issue]:
    if not found.ignored:
        return []
    where = next(iter(found.ignored.values()))
    used = _READ[found.format]
    close = [
        f"{key!r} may be meant as {near[0]!r}"
        for key in found.ignored
        if (near := difflib.get_close_matches(key, used, n=1, cutoff=0.8))
    ]
    return [
        Issue(
            code="ignored-keys",
            severity="warning",
            file=where.file,
            line=where.line,
            message=f"these keys are not read: {_listed(found.ignored)}",
            fix="; ".join(close)
            or f"nothing, if they are not meant to be trained on; "
            f"{found.format} reads {_listed(sorted(used))}",
        )
    ]
