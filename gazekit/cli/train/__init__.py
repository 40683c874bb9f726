"""``gazekit train``."""
