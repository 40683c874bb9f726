"""Files to images and tables. Imports no torch."""
