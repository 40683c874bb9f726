"""Tell patient, visit, side and view of an image from its header and its names."""
