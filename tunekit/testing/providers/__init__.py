"""Providers on loopback: real HTTP, real state, and faults to order."""

from __future__ import annotations
