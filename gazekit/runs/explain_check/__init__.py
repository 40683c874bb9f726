"""Checks of whether a run's attention maps can be believed, and what they found."""
