"""Measures of probabilities and the classes called from them."""
