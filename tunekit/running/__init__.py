"""The life of a run, the same on every backend."""
