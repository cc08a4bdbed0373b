"""Together: its jobs, files, results and endpoints, spoken to over HTTP."""

from __future__ import annotations
