"""Measures of gaze: of a map with a reader, of readers with each other, of areas that are looked at."""
