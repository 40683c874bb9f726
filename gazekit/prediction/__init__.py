"""Images or prepared exams to probabilities and attention maps."""
