"""Figures and the page of one run."""
