"""Every measure, its name, and what can be said of its uncertainty."""
