"""Measures of attention maps: where they lie, how alike two are, what removing their pixels does."""
