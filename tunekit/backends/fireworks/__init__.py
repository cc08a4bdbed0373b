"""Fireworks: its jobs, datasets, models and deployments, spoken to over HTTP."""

from tunekit.backends.fireworks.backend import Fireworks as Fireworks
