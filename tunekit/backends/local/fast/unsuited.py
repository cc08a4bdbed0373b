"""Why a model is not trained by our kernels."""

from __future__ import annotations


class Unsuited(Exception):
    """Something of a model is not understood; the message completes "reference, ..."."""
