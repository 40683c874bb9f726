"""Choosing values by validation, never by the test part."""
