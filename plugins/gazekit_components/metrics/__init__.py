"""Metrics of classification beside the core's."""
