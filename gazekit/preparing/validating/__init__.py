"""Report the faults of raw data and of recordings, without preparing them."""
