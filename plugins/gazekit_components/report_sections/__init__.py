"""Sections of a report beside the core's."""
