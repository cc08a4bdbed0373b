"""Tokens of a chat template inside the text of a row."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tunekit.data.issues import Issue
from tunekit.data.rows import Row, Text
from tunekit.data.words import texts

_TOKENS = re.compile(
    r"<\|(?:im_start|im_end|im_sep|endoftext|begin_of_text|end_of_text|eot_id|eom_id|python_tag"
    r"|start_header_id|end_header_id|user|assistant|system|end|endofprompt|start|channel|message"
    r"|return|call|START_OF_TURN_TOKEN|END_OF_TURN_TOKEN)\|>"
    r"|</?s>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|\[/?INST\]|<</?SYS>>"
    r"|<｜(?:begin|end)▁of▁sentence｜>|<｜(?:User|Assistant)｜>"
)
"""Of ChatML, Llama 2, 3 and 4, Mistral, Gemma, Phi, gpt-oss, Command R, DeepSeek."""


class ControlTokens:
    """Finds them. Rows of plain text may be written chats, so there they are let pass."""

    def add(self, row: Row) -> Iterator[Issue]:
        """Name the first one of a row."""
        if isinstance(row, Text):
            return
        for text in texts(row):
            if ("<" in text or "[" in text) and (found := _TOKENS.search(text)):
                yield Issue(
                    code="control-tokens",
                    severity="warning",
                    file=row.where.file,
                    line=row.where.line,
                    message=f"a text holds {found.group()!r}, which many tokenizers read as the "
                    "structure of a chat",
                    fix="remove it; if the text is a chat written out, give it as messages",
                )
                return

    def close(self) -> Iterator[Issue]:
        """Add nothing."""
        yield from ()
