"""The calibration of a run, and where it is kept."""
