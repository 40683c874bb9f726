"""``gazekit data``."""
