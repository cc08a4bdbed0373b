"""Every check of the data: from which share of the rows it matters, and why."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tunekit.errors import SpecError
from tunekit.spec.finetune import Severity

ANY = 0.0
"""A share that one row is above."""


FEW = 50
"""In fewer rows a share is chance: it warns, and stops nothing."""


@dataclass(frozen=True)
class Entry:
    """One finding: its code, its thresholds and their reason."""

    code: str
    title: str
    reason: str
    warn: float | None = ANY
    """Share of the rows above which it is a warning; None: it is never one."""
    error: float | None = None
    """Share of the rows above which it stops a run; None: it never does."""

    def severity(self, count: int, rows: int) -> Severity:
        """Say what so many findings in so many rows are worth."""
        share = count / max(rows, 1)
        if self.error is not None and share > self.error and (rows >= FEW or not self.error):
            return "error"
        return "warning" if self.warn is not None and share > self.warn else "info"


_ENTRIES = (
    Entry(
        "too-long",
        "Longer than `training.max_length`",
        "the row is cut and loses its end, and with it the token that ends the answer",
        warn=0.01,
        error=0.10,
    ),
    Entry(
        "no-trained-token",
        "No token is trained on",
        "the row costs time and teaches nothing; after cutting, TRL leaves such rows out",
        error=ANY,
    ),
    Entry(
        "end-of-turn-not-trained",
        "The end of the turn is not trained on",
        "the model would learn answers without their end, and go on talking",
        error=ANY,
    ),
    Entry(
        "user-token-trained",
        "Words of the user, the system or a tool are trained on",
        "the model would learn to speak for the others",
        error=ANY,
    ),
    Entry(
        "double-bos",
        "Two beginning-of-sequence tokens",
        "the model has never seen a text that begins so; its template and its text both write one",
        error=ANY,
    ),
    Entry(
        "identical-when-cut",
        "Chosen and rejected are the same once cut to `training.max_length`",
        "they differ only in what is cut off, so the pair teaches nothing",
        error=ANY,
    ),
    Entry(
        "control-tokens",
        "Tokens of a chat template inside a text",
        "the tokenizer reads `<|im_start|>` in a text as the beginning of a turn",
        error=0.01,
    ),
    Entry(
        "duplicate-row",
        "The same prompt and answer again",
        "copies count more than other rows, are learnt by heart, and flatter a held-out figure",
        warn=0.01,
        error=0.20,
    ),
    Entry(
        "near-duplicate",
        "Almost the same text again",
        "as copies; Jaccard similarity of word 5-grams of 0.8 or more, by MinHash",
        warn=0.05,
    ),
    Entry(
        "contradiction",
        "One prompt with different short answers",
        "the model can only learn the mean of both; often two annotators disagreed",
        warn=0.01,
    ),
    Entry(
        "leaked-row",
        "A held-out prompt that is also trained on",
        "what is measured on it is memory",
        error=ANY,
    ),
    Entry(
        "near-leak",
        "A held-out row that is almost one that is trained on",
        "what is measured on it is mostly memory",
    ),
    Entry(
        "mixed-languages",
        "A small share of the rows is in another language",
        "rows that strayed in teach the model to change its language; counted from 1 % to 10 %",
        warn=ANY,
    ),
    Entry(
        "boilerplate",
        "A refusal or a phrase of an AI model as the answer",
        "'As an AI language model' in data made by a model teaches refusing",
        warn=0.01,
    ),
    Entry(
        "personal-data",
        "E-mail address, phone, card or bank account number",
        "a model can repeat it to anybody",
    ),
    Entry(
        "secret",
        "A key, a token or a password",
        "a model can repeat it to anybody; revoke it, since it lies in a file",
        error=ANY,
    ),
    Entry(
        "identical-pair",
        "Chosen and rejected are the same",
        "the gradient of such a pair is zero for the preference and noise otherwise",
        error=ANY,
    ),
    Entry(
        "length-bias",
        "The chosen answers are the longer ones",
        "the model can win by length alone; chosen is longer in more than 60 % of the pairs "
        "(an error above 80 %), or its median length is more than 1.2 times that of rejected",
    ),
    Entry(
        "verdict-balance",
        "Wanted and unwanted answers are out of balance",
        "KTO wants the wanted and the unwanted answers to weigh between 1:1 and 4:3",
    ),
    Entry(
        "one-verdict",
        "Every verdict is the same",
        "KTO learns from the difference; with one class there is none",
        error=ANY,
    ),
    Entry(
        "row-weight",
        "Rows that count more or less than others, where rows cannot be weighed",
        "training on this machine counts every row once; Together and Fireworks weigh rows",
        error=ANY,
    ),
    Entry(
        "partial-weights",
        "A weight beside some rows and not beside others",
        "a row without one counts as 1, which may not be what was meant; Fireworks takes a weight "
        "on all rows or on none, and is sent the 1",
    ),
    Entry(
        "parallel-tool-calls",
        "`parallel_tool_calls`, which the model's chat template does not read",
        "what is learnt is how often the answers call several tools at once; "
        "only OpenAI reads the key",
        warn=None,
    ),
    Entry(
        "length-outlier",
        "Far longer than the other rows",
        "more than four times the 99th percentile: two rows glued together, or a log file",
        warn=None,
    ),
    Entry(
        "unknown-tool",
        "A call of a function that is not on offer",
        "the model learns to call what does not exist",
        error=ANY,
    ),
    Entry(
        "bad-tool-call-arguments",
        "The arguments of a call do not fit the schema of the function",
        "the model learns calls that fail",
        error=ANY,
    ),
    Entry(
        "role-order",
        "User and assistant do not take turns, or a system turn comes late",
        "many chat templates refuse it, and others write something the model has never seen",
    ),
    Entry(
        "few-rows",
        "Very few rows",
        "guides speak of at least 50 to 100 examples",
    ),
    Entry(
        "few-steps",
        "Fewer than 100 optimizer steps",
        "too few for the learning rate to rise and fall, and for a loss to say much; told where "
        "the plan knows epochs and batch size",
    ),
    Entry("empty-answer", "Nothing is answered", "it teaches the model to say nothing", error=ANY),
    Entry("no-assistant-turn", "No turn of the assistant", "there is nothing to learn", error=ANY),
    Entry(
        "no-trained-turn",
        "Every turn of the assistant has weight 0",
        "there is nothing to learn",
        error=ANY,
    ),
    Entry("ends-without-answer", "The last turn is not the assistant's", "it is not trained on"),
    Entry("empty-prompt", "The prompt is empty", "the answer belongs to no question"),
    Entry("nul-character", "A text holds the character NUL", "most tokenizers drop or misread it"),
    Entry(
        "ignored-keys",
        "Keys that no reader uses",
        "a misspelt key is a lost column",
    ),
    Entry("nothing-held-out", "No row is held out", "nothing would be measured"),
)

CATALOGUE: Mapping[str, Entry] = {entry.code: entry for entry in _ENTRIES}
"""By code, in the order of the documentation."""

READING = (
    *("bad-json", "truncated-json", "duplicate-key", "nan-or-infinity", "huge-number", "too-deep"),
    *("not-an-object", "huge-line", "bad-utf8", "nul-byte", "ragged-row", "wrong-type"),
    *("unknown-format", "ambiguous-format", "missing-key", "no-messages", "unknown-role"),
    *("null-content", "two-spellings", "not-text", "bad-weight", "bad-tool-call", "bad-tools"),
    *("bad-tool-arguments", "prompt-mismatch", "no-prompt", "lone-surrogate"),
    *("tied-scores", "mixed-segments"),
)
"""Faults of reading: such a row can be dropped, and cannot be let through."""


def severity(code: str, count: int, rows: int, checks: Mapping[str, Severity]) -> Severity:
    """Say what so many findings are worth; a severity that the spec sets comes first."""
    if code in checks:
        return checks[code]
    entry = CATALOGUE.get(code)
    return entry.severity(count, rows) if entry else "warning"


def require_known(checks: Mapping[str, Severity], drop: Iterable[str]) -> None:
    """Stop at a code that no check has.

    Raises:
        SpecError: with the nearest code; or a fault of reading is to be let through.
    """
    known = (*CATALOGUE, *READING)
    for field, codes in (("checks", checks), ("drop", drop)):
        for code in codes:
            if code not in known:
                raise SpecError(f"data.{field}: {code!r} is no check{_nearest(code, known)}")
    let_through = [code for code in checks if code in READING and checks[code] != "error"]
    if let_through:
        raise SpecError(
            f"data.checks: rows with {let_through[0]!r} cannot be read, so they cannot be let "
            f"through; leave them out with data.drop: [{let_through[0]}]"
        )


def _nearest(code: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(code, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(CATALOGUE)}"
