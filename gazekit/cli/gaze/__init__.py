"""``gazekit gaze``."""
