"""Optimiser, parameter groups and averaged weights."""
