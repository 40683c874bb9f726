"""Share a preparation among machines."""
