"""Read files into images and tables. Imports no torch."""
