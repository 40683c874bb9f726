"""Predictions, metrics with intervals, gaze agreement and localisation."""
