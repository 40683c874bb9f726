"""Raw data to a prepared data set. Imports no torch."""
