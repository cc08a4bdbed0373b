"""Rows in, rows out; never loads a model."""
