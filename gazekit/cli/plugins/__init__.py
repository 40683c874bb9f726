"""``gazekit plugins``."""
