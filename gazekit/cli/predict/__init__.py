"""``gazekit predict``."""
