"""Fine-tuning at Together."""

from tunekit.backends.together.backend import Together

__all__ = ["Together"]
