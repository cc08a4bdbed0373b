"""What a backend is tested with: the contract, a fake backend, and weights made by hand."""

from __future__ import annotations

from tunekit.testing.contract import BackendContract, checks
from tunekit.testing.fake import FakeBackend
from tunekit.testing.weights import write_adapter, write_model

__all__ = ["BackendContract", "FakeBackend", "checks", "write_adapter", "write_model"]
