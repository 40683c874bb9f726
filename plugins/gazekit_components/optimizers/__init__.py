"""Optimisers, and the course of their learning rate."""
