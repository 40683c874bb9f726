"""Where a model looks, as a map of each view."""
