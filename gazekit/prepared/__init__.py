"""The prepared data set on disk: index, arrays, splits, leaks."""
