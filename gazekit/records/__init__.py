"""Plain data that every room reads: exams, lesions, recordings, geometry. No files, no torch."""
