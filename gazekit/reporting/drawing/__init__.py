"""Draw pictures and charts."""
