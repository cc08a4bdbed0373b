"""The preview of a file at Together: rows as tokens, and which of them are trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tunekit.testing.providers.checks import Refused
from tunekit.testing.providers.together_files import StoredFile

_IGNORED = -100


def preview(file: StoredFile, told: Mapping[str, Any], *, longest: int) -> dict[str, Any]:
    """Show the first rows of a validated file; a token is a byte.

    Raises:
        Refused: 400, the file is not validated or holds preferences.
    """
    form = (file.report or {}).get("dataset_format")
    if file.status != "COMPLETED" or form == "preference_openai":
        raise Refused(400, "only validated files for SFT can be previewed", param="training_file")
    lines = (file.content or b"").decode().removesuffix("\n").split("\n")[: told.get("top_k", 5)]
    everything = told.get("train_on_inputs", form == "general")
    return {
        "dataset_format": form,
        "max_seq_length": longest,
        "model": told["model"],
        "train_on_inputs": everything,
        "rows": [_row(list(_parts(json.loads(line))), everything, longest) for line in lines],
    }


def _parts(row: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Give the texts of a row, and whether each is an answer."""
    if "text" in row:
        yield row["text"], True
    elif "prompt" in row:
        yield str(row["prompt"]), False
        yield str(row["completion"]), True
    for message in row.get("messages", []):
        yield str(message.get("content") or ""), message["role"] == "assistant"


def _row(parts: list[tuple[str, bool]], everything: bool, longest: int) -> dict[str, Any]:
    ids: list[int] = []
    labels: list[int] = []
    spans: list[list[int]] = []
    for text, answer in parts:
        tokens = list(text.encode())[: longest - len(ids)]
        trained = (answer or everything) and bool(tokens)
        if trained:
            spans.append([len(ids), len(ids) + len(tokens)])
        ids += tokens
        labels += tokens if trained else [_IGNORED] * len(tokens)
    return {
        "input_ids": ids,
        "labels": labels,
        "tokens": [chr(each) for each in ids],
        "trained_spans": spans,
        "num_tokens": len(ids),
        "num_trained_tokens": sum(label != _IGNORED for label in labels),
        "truncated": len(ids) < sum(len(text.encode()) for text, _ in parts),
    }
