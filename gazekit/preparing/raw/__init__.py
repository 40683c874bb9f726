"""Raw data before a pixel is read: exams, headers, files, recordings."""
