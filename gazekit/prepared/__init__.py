"""Read and write the prepared data set on disk: index, arrays, splits, leaks."""
