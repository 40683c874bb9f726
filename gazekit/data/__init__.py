"""Exam records, image reading, preparation, prepared data sets and splits."""
