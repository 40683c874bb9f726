"""Carry out and compare many runs: systems × folds × seeds."""
