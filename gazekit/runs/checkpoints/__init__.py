"""Checkpoints: atomic, verified, never executable."""
