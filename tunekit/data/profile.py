"""All that a plan needs to know of the data."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from tunekit.data.issues import Issue
from tunekit.data.rows import RowKind


class Profile(BaseModel):
    """What was learnt from reading the rows; the rows themselves ride along unprinted."""

    model_config = ConfigDict(frozen=True)

    source: str
    format: str
    """The format that was recognised: `conversation`, `sharegpt`, `alpaca`, ..."""
    kind: RowKind
    rows: int
    """Rows to train on."""
    validation_rows: int
    validation_policy: str
    """Where the held-out rows come from, in words."""
    tokens: int
    """Estimate over the training rows: a token for every 4 bytes of UTF-8, and 4 for every turn.
    Of a pair both sequences count."""
    trained_tokens: int
    """Estimate of those that count for the loss."""
    longest: int
    """Estimate for the longest row, held-out rows included."""
    digest: str
    """Hash of all rows, training then held-out, in order (sha256, hex)."""
    weighted: int = 0
    """Training rows whose weight is not 1; not every backend can weigh rows."""
    held_weighted: int = 0
    """Held-out rows whose weight is not 1."""
    unweighted: str = ""
    """Where the first row without a weight is, if a row of either side has one that is not 1."""
    replayed: int = 0
    """Training rows that are general chats, mixed in."""
    wanted: int = 0
    """Training rows that are judged, and wanted."""
    dropped: dict[str, int] = Field(default_factory=dict)
    """Rows left out because the spec says so, counted by code; they are in `dropped.jsonl`."""
    issues: tuple[Issue, ...] = ()
    """Warnings; errors stop before a profile is made."""
