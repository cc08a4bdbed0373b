"""Before and after: the same rows, measured twice."""
