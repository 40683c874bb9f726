"""A prepared data set to batches on the device."""
