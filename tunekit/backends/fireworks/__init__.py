"""Fireworks: its jobs, datasets, models and deployments, spoken to over HTTP."""

from __future__ import annotations
