"""Pages about runs: one file that needs nothing else, without a script."""
