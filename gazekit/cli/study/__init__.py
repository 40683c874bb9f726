"""``gazekit benchmark``, ``gazekit tune`` and ``gazekit plan``."""
