"""Where a run's figures can be followed: one file for each tracker."""
