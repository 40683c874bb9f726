"""Launch the runs of a study: one file per launcher."""
