"""Comparisons of systems and of ways of reading, and the plans of studies that make them."""
