"""Measures of a model, each with its name and uncertainty."""
