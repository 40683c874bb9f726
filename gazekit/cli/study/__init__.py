"""``gazekit benchmark`` and ``gazekit tune``."""
