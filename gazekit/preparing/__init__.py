"""Turn raw data into a prepared data set, without importing torch."""
