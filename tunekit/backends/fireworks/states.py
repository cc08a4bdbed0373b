"""Fireworks' words for the state of a job, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunekit.events import JobState

_PREFIX = "JOB_STATE_"
_WORDS: Mapping[JobState, str] = {
    JobState.QUEUED: "UNSPECIFIED CREATING PENDING CREATING_INPUT_DATASET VALIDATING",
    JobState.RUNNING: "RUNNING IDLE PAUSED RE_QUEUEING CANCELLING WRITING_RESULTS",
    JobState.SUCCEEDED: "COMPLETED EARLY_STOPPED",
    JobState.FAILED: "FAILED EXPIRED DELETING DELETING_CLEANING_UP DELETED ARCHIVED",
    JobState.CANCELLED: "CANCELLED",
}
STATES: Mapping[str, JobState] = {
    _PREFIX + word: state for state, words in _WORDS.items() for word in words.split()
}
"""Every word of the SDK 1.2.28, and the two that only the REST documents have."""

GONE = frozenset(_PREFIX + word for word in _WORDS[JobState.FAILED].split()[2:])
"""The job was taken away."""

_NUMBERS = (
    *("UNSPECIFIED", "CREATING", "RUNNING", "COMPLETED", "FAILED"),
    *("CANCELLED", "DELETING", "WRITING_RESULTS", "VALIDATING"),
)
"""The first values of the enum; the later ones were renumbered and are not guessed."""


def native(state: Any) -> str:
    """Give the service's word in full: some clients have seen it without prefix, or as a number.

    A word that is not known is given as it came; none at all is proto3's way to say the first.
    """
    if isinstance(state, int) and not isinstance(state, bool) and 0 <= state < len(_NUMBERS):
        return _PREFIX + _NUMBERS[state]
    word = str(state or "UNSPECIFIED")
    return _PREFIX + word if _PREFIX + word in STATES else word
