"""Gaze recordings: geometry, fixations, heat maps and how they join the exams."""
